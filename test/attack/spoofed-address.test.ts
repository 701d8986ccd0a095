import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { AnswerReader, basic, connectTo, openTunnel } from '../support/tunnel-client.ts';

/*
 * A key is bound to addresses, and the audit names them. Whoever holds a stolen key must not be able to say where it comes
 * from: only a peer that the operator has listed is believed, and only in the place where it speaks.
 */
const home = '198.51.100.7';
const claims = [
  'X-Forwarded-For: 198.51.100.7',
  'X-Forwarded-For: 198.51.100.7, 198.51.100.7',
  'x_forwarded_for: 198.51.100.7',
  'Forwarded: for=198.51.100.7',
  'X-Real-IP: 198.51.100.7',
  'X-Client-IP: 198.51.100.7',
  'True-Client-IP: 198.51.100.7',
  'Via: 1.1 198.51.100.7',
];
const version2 = Buffer.concat([
  Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex'),
  Buffer.from([198, 51, 100, 7, 127, 0, 0, 1, 0x12, 0x34, 0x0c, 0x38]),
]);
const headers: readonly (readonly [string, Buffer])[] = [
  ['version 1', Buffer.from(`PROXY TCP4 ${home} 127.0.0.1 4660 3128\r\n`)],
  ['version 2', version2],
];

interface Place {
  readonly rig: Rig;
  readonly secret: StoredSecret;
  /** Bound to `home`. */
  readonly bound: string;
  readonly free: string;
}

async function open(settings: Record<string, string>): Promise<Place> {
  const rig = await Rig.open({ settings: { ALTER_EGRESS_MODE: 'tunnel', ...settings } });
  const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  const bound = (await rig.mintKey({ cidr: [`${home}/32`] })).key;
  return { rig, secret, bound, free: (await rig.mintKey()).key };
}

const tunnel = ({ rig }: Place, key: string, lines: readonly string[] = []) =>
  openTunnel({
    proxyPort: rig.proxyPort,
    target: rig.authorityOf(),
    key,
    headers: lines,
    serverName: 'a.test',
    ca: rig.service.authorityPem,
  });

/** A request in absolute form, on a connection that begins with these bytes. */
async function absolute(
  { rig, secret }: Place,
  key: string,
  lines: readonly string[] = [],
  start: Buffer = Buffer.alloc(0),
) {
  const socket = await connectTo(rig.proxyPort);
  const reader = new AnswerReader(socket);
  const head = [
    `GET https://${rig.authorityOf()}/p HTTP/1.1`,
    `Host: ${rig.authorityOf()}`,
    `Proxy-Authorization: ${basic('x', key)}`,
    `X-Alter-Grant: ${secret.grantId}`,
    ...lines,
  ];
  socket.write(Buffer.concat([start, Buffer.from(`${head.join('\r\n')}\r\n\r\n`)]));
  const answer = await reader.next();
  socket.destroy();
  return answer;
}

async function inside(place: Place, socket: Socket, reader: AnswerReader, lines: readonly string[] = []) {
  const head = [
    'GET /p HTTP/1.1',
    `Host: ${place.rig.authorityOf()}`,
    `X-Alter-Grant: ${place.secret.grantId}`,
    ...lines,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  return reader.next();
}

const addressesOnRecord = async ({ rig }: Place): Promise<(string | undefined)[]> => {
  const { items } = await rig.admin<{ items: { event: string; client_ip?: string }[] }>('GET', '/audit?limit=1000');
  return items.filter(({ event }) => /^(?:request|tunnel)\./.test(event)).map((event) => event.client_ip);
};

describe('a client that says where it comes from', () => {
  describe('to a proxy that believes nobody', () => {
    let place: Place;
    beforeAll(async () => {
      place = await open({});
    });
    afterAll(() => place?.rig.close());

    it.each(claims)('with "%s" has no use of a key that is bound elsewhere', async (claim) => {
      const opened = await tunnel(place, place.bound, [claim]);
      expect(opened.kind === 'refused' && [opened.answer.status, JSON.parse(opened.answer.body).policy_error]).toEqual([
        403,
        'ip_not_allowed',
      ]);
      expect((await absolute(place, place.bound, [claim])).status).toBe(403);
      expect(place.rig.sink().requests).toHaveLength(0);
      await eventually(async () => (await addressesOnRecord(place)).length > 0);
      expect(new Set(await addressesOnRecord(place))).toEqual(new Set(['127.0.0.1']));
    });

    it.each(headers)('with a PROXY protocol header of %s is answered as one who speaks no HTTP', async (_, header) => {
      const answer = await absolute(place, place.bound, [], header);
      expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'request_malformed']);
      expect(place.rig.sink().requests).toHaveLength(0);
    });
  });

  describe('to a proxy that believes others', () => {
    let place: Place;
    beforeAll(async () => {
      place = await open({
        ALTER_PROXY_PROTOCOL_FROM: '192.0.2.0/24',
        ALTER_FORWARDED_FOR_FROM: '192.0.2.0/24,fd00::/8',
      });
    });
    afterAll(() => place?.rig.close());

    it('is not believed', async () => {
      for (const claim of claims) expect((await absolute(place, place.bound, [claim])).status).toBe(403);
      for (const [, header] of headers) expect((await absolute(place, place.bound, [], header)).status).toBe(400);
      expect(place.rig.sink().requests).toHaveLength(0);
    });
  });

  describe('behind a hop whose X-Forwarded-For is believed', () => {
    let place: Place;
    beforeAll(async () => {
      place = await open({ ALTER_FORWARDED_FOR_FROM: '127.0.0.1,10.0.0.0/8' });
    });
    afterAll(() => place?.rig.close());

    it('is known by what the hop says of it, on a CONNECT and in absolute form', async () => {
      const opened = await tunnel(place, place.bound, [`X-Forwarded-For: ${home}`]);
      if (opened.kind !== 'open') throw new Error(opened.kind);
      expect((await inside(place, opened.socket, opened.reader)).status).toBe(200);
      opened.socket.destroy();
      expect((await absolute(place, place.bound, [`X-Forwarded-For: 203.0.113.9, ${home}, 10.0.0.9`])).status).toBe(
        200,
      );
      await eventually(async () => (await addressesOnRecord(place)).length >= 4);
      expect(new Set(await addressesOnRecord(place))).toEqual(new Set([home]));
    });

    it('is not believed itself: what it wrote stands to the left', async () => {
      for (const value of [`${home}, 203.0.113.9`, `${home}, 203.0.113.9, 10.0.0.9`]) {
        expect((await absolute(place, place.bound, [`X-Forwarded-For: ${value}`])).status).toBe(403);
        expect((await tunnel(place, place.bound, [`X-Forwarded-For: ${value}`])).kind).toBe('refused');
      }
      const lines = [`X-Forwarded-For: ${home}`, 'X-Forwarded-For: 203.0.113.9'];
      expect((await absolute(place, place.bound, lines)).status).toBe(403);
    });

    it('has nothing to say inside a tunnel', async () => {
      const opened = await tunnel(place, place.bound, [`X-Forwarded-For: ${home}`]);
      if (opened.kind !== 'open') throw new Error(opened.kind);
      place.rig.sink().forget();
      const answer = await inside(place, opened.socket, opened.reader, ['X-Forwarded-For: 203.0.113.9']);
      expect(answer.status).toBe(200);
      expect(place.rig.sink().requests[0]!.all('x-forwarded-for')).toEqual(['203.0.113.9']); // the client's own, to the upstream
      opened.socket.destroy();

      const other = await tunnel(place, place.free, ['X-Forwarded-For: 203.0.113.9']);
      if (other.kind !== 'open') throw new Error(other.kind);
      await inside(place, other.socket, other.reader, [`X-Forwarded-For: ${home}`]);
      other.socket.destroy();
      await eventually(async () => (await addressesOnRecord(place)).includes('203.0.113.9'));
    });

    it('is refused where the hop says something that is no address, and upstreams learn nothing of hops', async () => {
      for (const value of ['', 'unknown', 'localhost', `${home},`]) {
        expect((await absolute(place, place.free, [`X-Forwarded-For: ${value}`])).status).toBe(400);
        const opened = await tunnel(place, place.free, [`X-Forwarded-For: ${value}`]);
        expect(opened.kind === 'refused' && opened.answer.status).toBe(400);
      }
      place.rig.sink().forget();
      expect((await absolute(place, place.free, [`X-Forwarded-For: ${home}`])).status).toBe(200);
      expect(place.rig.sink().requests[0]!.all('x-forwarded-for')).toEqual([]);
    });
  });

  describe('behind a balancer that speaks the PROXY protocol', () => {
    let place: Place;
    beforeAll(async () => {
      place = await open({ ALTER_PROXY_PROTOCOL_FROM: '127.0.0.1', ALTER_HEADER_TIMEOUT: '300ms' });
    });
    afterAll(() => place?.rig.close());

    it.each(headers)('is known by its header of %s, in whatever pieces that comes', async (_, header) => {
      place.rig.sink().forget();
      expect((await absolute(place, place.bound, [], header)).status).toBe(200);
      const socket = await connectTo(place.rig.proxyPort);
      const reader = new AnswerReader(socket);
      for (const byte of header) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.write(
        `GET https://${place.rig.authorityOf()}/p HTTP/1.1\r\nHost: ${place.rig.authorityOf()}\r\n` +
          `X-Alter-Grant: ${place.secret.grantId}\r\nProxy-Authorization: ${basic('x', place.bound)}\r\n\r\n`,
      );
      expect((await reader.next()).status).toBe(200);
      socket.destroy();
      expect(new Set(await addressesOnRecord(place))).toEqual(new Set([home]));
    });

    it('is not believed behind the header: a second one, or X-Forwarded-For, changes nothing', async () => {
      const [, header] = headers[0]!;
      const elsewhere = Buffer.from('PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n');
      expect((await absolute(place, place.bound, [], Buffer.concat([elsewhere, header]))).status).toBe(400);
      expect((await absolute(place, place.bound, [`X-Forwarded-For: ${home}`], elsewhere)).status).toBe(403);
    });

    it.each<[string, Buffer]>([
      ['none', Buffer.alloc(0)],
      ['a malformed one', Buffer.from('PROXY TCP4 198.51.100.7 127.0.0.1 99999 1\r\n')],
      ['one of a family that is not TCP', Buffer.from('0d0a0d0a000d0a515549540a21310000', 'hex')],
    ])('that sends %s is hung up on without a word', async (_, header) => {
      const answer = await absolute(place, place.bound, [], header);
      expect([answer.status, answer.body, answer.cut]).toEqual([0, '', true]);
    });

    it('that never finishes the header is let go', async () => {
      const socket = await connectTo(place.rig.proxyPort);
      socket.resume();
      socket.write('PROXY TCP4');
      await Promise.race([once(socket, 'close'), once(socket, 'end')]);
      socket.destroy();
      await eventually(() => place.rig.service.proxy!.connections() === 0);
    });
  });
});
