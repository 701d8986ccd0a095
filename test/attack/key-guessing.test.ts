import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issueToken } from '../../core/token.ts';
import { inParallel } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo, openTunnel } from '../support/tunnel-client.ts';

const guessesOfMany = Number(process.env.KEY_GUESSES ?? 600);

/** Whoever tries keys gets tired before the proxy does, and nobody else notices. */
describe('a client that guesses keys', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  beforeAll(async () => {
    rig = await Rig.open({ settings: { ALTER_FORWARDED_FOR_FROM: '127.0.0.1', ALTER_LOG_LEVEL: 'silent' } });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  /** A CONNECT from this address, as far as the proxy is told. */
  const tunnel = (from: string, withKey: string) =>
    openTunnel({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key: withKey,
      headers: [`X-Forwarded-For: ${from}`],
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
  const refusalOf = async (from: string, withKey: string) => {
    const opened = await tunnel(from, withKey);
    if (opened.kind === 'refused') return [opened.answer.status, opened.answer.headers['x-alter-error']];
    if (opened.kind === 'open') opened.socket.destroy();
    return [opened.kind];
  };
  const guess = () => issueToken('runtime', Date.now()).plaintext;

  it('is told 407 for 20 of them in a minute, then 429 with the time to wait, on CONNECT and in absolute form', async () => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        expect(await refusalOf('192.0.2.1', i % 2 === 0 ? guess() : 'not-a-key')).toEqual([407, 'key_invalid']),
      ),
    );
    const opened = await tunnel('192.0.2.1', guess());
    if (opened.kind !== 'refused') throw new Error(opened.kind);
    expect([opened.answer.status, opened.answer.headers['x-alter-error']]).toEqual([429, 'rate_limited']);
    expect(Number(opened.answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(opened.answer.headers['retry-after'])).toBeLessThanOrEqual(3);

    const socket = await connectTo(rig.proxyPort);
    const reader = new AnswerReader(socket);
    socket.write(
      `GET http://${rig.authorityOf()}/ HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Forwarded-For: 192.0.2.1\r\n` +
        `Proxy-Authorization: ${basic('x', guess())}\r\n\r\n`,
    );
    expect((await reader.next()).status).toBe(429);
    socket.destroy();
    expect(await refusalOf('192.0.2.2', guess())).toEqual([407, 'key_invalid']);
  });

  it('cannot lock out a caller behind the same address whose key was right lately', async () => {
    const stranger = (await rig.mintKey()).key;
    expect(await refusalOf('192.0.2.9', key)).toEqual(['open']);
    for (let i = 0; i < 25; i++) await refusalOf('192.0.2.9', guess());
    expect(await refusalOf('192.0.2.9', guess())).toEqual([429, 'rate_limited']);
    expect(await refusalOf('192.0.2.9', stranger)).toEqual([429, 'rate_limited']); // was never seen from there
    const opened = await tunnel('192.0.2.9', key);
    if (opened.kind !== 'open') throw new Error(opened.kind);
    opened.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    expect((await opened.reader.next()).status).toBe(200);
    opened.socket.destroy();
    const forged = key.slice(0, 25) + guess().slice(25);
    for (let i = 0; i < 5; i++) expect(await refusalOf('192.0.2.9', forged)).toEqual([429, 'rate_limited']);
    expect(await refusalOf('192.0.2.9', key)).toEqual(['open']);
  });

  it('is not one that has no key yet: clients that ask first are always told to show one', async () => {
    for (let i = 0; i < 40; i++) {
      const socket = await connectTo(rig.proxyPort);
      const reader = new AnswerReader(socket);
      socket.write(
        `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.20\r\n\r\n`.replace(
          'Host: a',
          `Host: ${rig.authorityOf()}`,
        ),
      );
      const answer = await reader.next({ bodyless: true });
      socket.destroy();
      expect([answer.status, answer.headers['x-alter-error']]).toEqual([407, 'proxy_auth_required']);
    }
  });

  it(`does not slow down the others with ${guessesOfMany} guesses`, async () => {
    expect(await refusalOf('192.0.2.30', key)).toEqual(['open']);
    const guesses = Array.from({ length: guessesOfMany }, guess);
    const atATime = 16;
    const begunAt = Date.now();
    const statuses = new Map<unknown, number>();
    const attack = inParallel(guesses, atATime, async (one) => {
      const [status] = await refusalOf('192.0.2.31', one);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    let worstMs = 0;
    for (let i = 0; i < 20; i++) {
      const elapsedMs = startStopwatch();
      expect(await refusalOf('192.0.2.30', key)).toEqual(['open']);
      worstMs = Math.max(worstMs, elapsedMs());
    }
    await attack;
    expect(statuses.get(429)! + statuses.get(407)!).toBe(guessesOfMany);
    // 20, one more every three seconds, and those that were being looked up while the last of the 20 was counted.
    expect(statuses.get(407)).toBeLessThanOrEqual(21 + atATime + (Date.now() - begunAt) / 3_000);
    expect(worstMs).toBeLessThan(1_000);
  });
});
