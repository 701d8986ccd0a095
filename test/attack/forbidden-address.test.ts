import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AlterError } from '../../core/errors.ts';
import type { Resolver } from '../../proxy/connection/resolve.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { Sink } from '../support/sink.ts';
import { basic, exchangeRaw, openTunnel } from '../support/tunnel-client.ts';

/*
 * Server-side request forgery through DNS: a name that is allowed, or needs no leave, resolves to an address inside. What
 * counts is the address that is dialled, and no second look-up may stand between the check and the dial.
 */
describe('a name that resolves to a forbidden address', () => {
  const answers = new Map<string, () => readonly string[]>();
  const resolver: Resolver = {
    resolve: async (origin) => {
      const answer = answers.get(origin.host);
      if (answer === undefined) throw new AlterError('upstream_dns');
      return answer();
    },
  };
  let rig: Rig;
  let inside: Sink;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test'], resolver });
    inside = await Sink.open({ authority: null, host: 'inside.test' });
    secret = await rig.storeSecret({ hosts: [`a.test:${inside.port}`, 'a.test'] });
    key = (await rig.mintKey()).key;
  });
  afterEach(() => answers.clear());
  afterAll(async () => {
    await rig?.close();
    await inside?.close();
  });

  const connect = (target: string) =>
    exchangeRaw(
      rig.proxyPort,
      `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`,
    );
  const injected = async (): Promise<string> => {
    const tunnel = await openTunnel({
      proxyPort: rig.proxyPort,
      target: `a.test:${inside.port}`,
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    if (tunnel.kind !== 'open') return tunnel.kind;
    tunnel.socket.write(`GET / HTTP/1.1\r\nHost: a.test:${inside.port}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return `${answer.status} ${answer.headers['x-alter-error']}`;
  };

  const forbidden = [
    '127.0.0.1',
    '0.0.0.0',
    '10.0.0.1',
    '169.254.169.254',
    '192.168.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::',
    '2001::1',
    'fd00::1',
    'fe80::1',
  ];

  it.each(forbidden)('is refused in a blind tunnel (%s)', async (address) => {
    answers.set('rebound.test', () => [address]);
    const answer = await connect(`rebound.test:${inside.port}`);
    expect(answer.status).toBe(403);
    expect(answer.headers['x-alter-error']).toBe('address_forbidden');
    expect(inside.accepts).toBe(0);
  });

  it.each(forbidden)('is refused for an allowed host, whatever its grant says (%s)', async (address) => {
    answers.set('a.test', () => [address]);
    expect(await injected()).toBe('403 address_forbidden');
    expect(inside.accepts).toBe(0);
  });

  it('is refused where only one of several addresses is forbidden', async () => {
    answers.set('a.test', () => ['198.51.100.7', '8.8.8.8']);
    expect(await injected()).toBe('403 address_forbidden');
    answers.set('a.test', () => ['8.8.8.8', '::1']);
    expect(await injected()).toBe('403 address_forbidden');
    expect(inside.accepts).toBe(0);
  });

  it('is never dialled while its answers alternate, because the address that was checked is the one that is dialled', async () => {
    let asked = 0;
    // Odd answers are forbidden; even ones are public but refuse at once, being the proxy's own address under another name.
    answers.set('a.test', () => [asked++ % 2 === 0 ? '127.0.0.1' : '::1']);
    for (let i = 0; i < 100; i++) expect(await injected()).toBe('403 address_forbidden');
    expect(asked).toBe(100); // one look-up a request: none stands between the check and the dial
    expect(inside.accepts).toBe(0);
  });

  it('is refused for the listeners of the proxy itself, also where loopback may be dialled', async () => {
    const open = await Rig.open({ sinks: ['a.test'], settings: { ALTER_ALLOW_ADDRESSES: '127.0.0.0/8' } });
    try {
      const { key: openKey } = await open.mintKey();
      const admin = Number(new URL(open.service.adminUrl!).port);
      for (const port of [open.proxyPort, admin, open.service.ops.port]) {
        const target = `127.0.0.1:${port}`;
        const answer = await exchangeRaw(
          open.proxyPort,
          `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${basic('x', openKey)}\r\n\r\n`,
        );
        expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'address_forbidden']);
      }
    } finally {
      await open.close();
    }
  });

  it('gives a typed answer for a name that does not resolve', async () => {
    const answer = await connect('nowhere.test:443');
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([502, 'upstream_dns']);
  });
});
