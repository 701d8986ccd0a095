import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { RawUpstream } from '../support/raw-upstream.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';
import { type Behaviour, behaviours, ok } from './poisonous-answers.ts';

/*
 * An upstream that answers so that what it sends could be taken for the answer to somebody else's request, or so that the
 * proxy and the client could see different ends in it. Whoever asks next, of this caller or of another one, must get the
 * answer to their own request, and a connection that was framed oddly must not be used again.
 */
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('an upstream that answers', () => {
  let rig: Rig;
  let upstream: RawUpstream;
  let host: string;
  let secret: StoredSecret;
  let key: string;
  let otherKey: string;
  let behaviour: Behaviour | null = null;

  beforeAll(async () => {
    rig = await Rig.open({ alsoAllow: '127.0.0.1/32' });
    upstream = await RawUpstream.open(rig.authority);
    host = `a.test:${upstream.port}`;
    secret = await rig.storeSecret({ hosts: [host] });
    key = (await rig.mintKey()).key;
    otherKey = (await rig.mintKey()).key;
    upstream.behave = async (connection) => {
      for (let count = 1; connection.closedAt === null; count++) {
        await eventually(() => connection.heads >= count || connection.closedAt !== null);
        if (connection.heads < count) return;
        const asked = /\/(\w+) HTTP/.exec(connection.received.split('\r\n\r\n')[count - 1]!)![1]!;
        if (asked === 'bad') await behaviour!.answer(connection);
        else connection.socket.write(ok(`for ${asked}`));
      }
    };
  });
  afterEach(() => upstream.forget());
  afterAll(async () => {
    await upstream?.close();
    await rig?.close();
  });

  const tunnel = (as: string) =>
    mustOpen({ proxyPort: rig.proxyPort, target: host, key: as, serverName: 'a.test', ca: rig.service.authorityPem });
  const request = (path: string, method = 'GET'): string =>
    `${method} /${path} HTTP/1.1\r\nHost: ${host}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`;

  const seen = (answer: RawResponse): string | number => {
    if (answer.headers['x-alter-error'] !== undefined) return answer.status === 502 ? 502 : `refused ${answer.status}`;
    if (answer.cut || answer.status === 0) return 'cut';
    return answer.body.includes('poison') ? 'poison' : 'own';
  };

  it.each(behaviours.map((each) => [each.name, each] as const))(
    '%s and leaves the next answers alone',
    async (_, bad) => {
      behaviour = bad;
      const victim = await tunnel(otherKey);
      const attacker = await tunnel(key);
      attacker.socket.write(request('bad', bad.method));
      const answer = await (bad.method === 'HEAD' ? attacker.reader.next({ bodyless: true }) : attacker.reader.next());
      expect(bad.sees).toContain(seen(answer));
      expect(attacker.reader.buffered.toString()).not.toContain('poison');

      // The next of the same caller, on the same tunnel where it lasts, at once and later, and that of another caller.
      const again = attacker.socket.destroyed || answer.cut ? await tunnel(key) : attacker;
      for (const [who, path] of [
        [again, 'first'],
        [victim, 'second'],
        [again, 'third'],
      ] as const) {
        who.socket.write(request(path));
        const next = await who.reader.next();
        expect([path, next.status, next.body]).toEqual([path, 200, `for ${path}`]);
        await pause(path === 'first' ? 40 : 0);
      }
      const poisoned = upstream.connections.filter((connection) => connection.received.includes('/bad'));
      expect(poisoned).toHaveLength(1);
      expect(poisoned[0]!.received.includes('/second')).toBe(false);
      if (!bad.sees.includes('own')) expect(poisoned[0]!.heads).toBe(1);
      for (const each of [victim, attacker, again]) each.socket.destroy();
    },
  );

  it('too much never reaches another caller, for two callers never share a connection', async () => {
    behaviour = behaviours[0]!;
    const pairs = await Promise.all([tunnel(key), tunnel(otherKey)]);
    for (let i = 0; i < 40; i++) {
      pairs[0].socket.write(request('bad'));
      pairs[1].socket.write(request(`n${i}`));
      expect((await pairs[1].reader.next()).body).toBe(`for n${i}`);
      expect((await pairs[0].reader.next()).body).toBe('own');
    }
    for (const { received } of upstream.connections)
      expect(received.includes('/bad') && received.includes('/n')).toBe(false);
    for (const { socket } of pairs) socket.destroy();
  });
});
