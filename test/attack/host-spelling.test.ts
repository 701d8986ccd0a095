import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, exchangeRaw } from '../support/tunnel-client.ts';

/*
 * Other spellings of a host: an allowed name that some parser reads as another host, and forbidden addresses written so
 * that a list of strings does not know them.
 */
describe('another spelling of a host', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let port: number;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'localhost'] });
    port = rig.sink('a.test').port;
    secret = await rig.storeSecret({ hosts: [`a.test:${port}`] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const connect = (target: string) =>
    exchangeRaw(
      rig.proxyPort,
      Buffer.from(
        `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`,
        'utf8',
      ),
    );

  it('opens a tunnel only where it is the same name in other letters or with the root dot', async () => {
    for (const same of ['a.test', 'A.TEST', 'a.Test.']) expect((await connect(`${same}:${port}`)).status).toBe(200);
  });

  it('is refused before anything is dialled', async () => {
    const sinkPort = rig.sink('localhost').port;
    const spellings = [
      'a.test..',
      '.a.test',
      'a..test',
      'a_.test',
      'a.test%00',
      'a.test%2e',
      'a%2etest',
      'a.test#',
      'a.test/',
      'a.test\\',
      'a.test@x.test',
      'x.test@a.test',
      'user:pw@a.test',
      '[a.test]',
      'a.test]',
      '*.test',
      'a.tes',
      'aa.test',
      'a.test.evil.test',
      'evil-a.test',
      'a.test;x',
      'a.test,x.test',
      'a\u3002test',
      'ａ.test',
      'a.te\u00adst',
      'xn--a.test',
      'xn--a-.test',
      'a.test\t',
      '-a.test',
      'a-.test',
      `${'a'.repeat(64)}.test`,
      `${'a.'.repeat(127)}test`,
    ].map((host) => `${host}:${port}`);
    const addresses = [
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '2130706433',
      '017700000001',
      '0',
      '0.0.0.0',
      '127.0.0.1.',
      '①②⑦.0.0.1',
      '127.0.0.1%00',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[::127.0.0.1]',
      '[fe80::1%25eth0]',
      '[fe80::1%eth0]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      'localhost',
      'localhost.',
    ].map((host) => `${host}:${sinkPort}`);
    const odd = [
      `a.test`,
      `a.test:`,
      `a.test:0`,
      `a.test:+${port}`,
      `a.test:0${port}`,
      `a.test:65536`,
      `a.test:${port}:1`,
      `:${port}`,
      ` `,
      `https://a.test:${port}`,
      `/`,
      `*`,
    ];
    const wrong: string[] = [];
    await inParallel([...spellings, ...addresses, ...odd], 8, async (target) => {
      const { status } = await connect(target);
      if (status !== 400 && status !== 403) wrong.push(`${target} answered ${status}`);
    });
    expect(wrong).toEqual([]);
    expect(rig.sink('localhost').accepts).toBe(0);
    expect(rig.sink('a.test').accepts).toBe(0);
  });

  it('on another port is another origin', async () => {
    for (const other of [22, 25, 443, 8443]) {
      const answer = await connect(`a.test:${other}`);
      expect(answer.status).toBe(403);
      expect(answer.headers['x-alter-error']).toBe('host_not_allowed');
    }
    expect(rig.sink('a.test').accepts).toBe(0);
  });
});
