import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * What one caller leaves behind on an upstream connection (an answer that came too late, a login that the connection
 * carries) must not reach another caller: connections are kept alive, but never shared.
 */
describe('upstream connections', () => {
  let rig: Rig;
  let first: StoredSecret;
  let second: StoredSecret;
  const keys: string[] = [];

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'b.test'] });
    first = await rig.storeSecret({ hosts: [rig.authorityOf('a.test'), rig.authorityOf('b.test')] });
    second = await rig.storeSecret({ hosts: [rig.authorityOf('a.test')] });
    for (let i = 0; i < 2; i++) keys.push((await rig.mintKey()).key);
  });
  beforeEach(() => {
    for (const name of ['a.test', 'b.test']) rig.sink(name).forget();
  });
  afterAll(() => rig?.close());

  const ask = async (of: { key: string; grant: string | null; host?: string; target?: string }): Promise<void> => {
    const host = of.host ?? 'a.test';
    const target = rig.authorityOf(host);
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target,
      key: of.key,
      serverName: host,
      ca: rig.service.authorityPem,
    });
    tunnel.socket.write(
      `GET ${of.target ?? '/'} HTTP/1.1\r\nHost: ${target}\r\n${of.grant === null ? '' : `X-Alter-Grant: ${of.grant}\r\n`}\r\n`,
    );
    expect((await tunnel.reader.next()).status).toBe(200);
    tunnel.socket.destroy();
  };

  it('are kept alive for the same key, grant and host, over the tunnels of the client', async () => {
    for (let i = 0; i < 5; i++) await ask({ key: keys[0]!, grant: first.grantId, target: `/${i}` });
    expect(rig.sink().accepts).toBe(1);
    expect(rig.sink().requests).toHaveLength(5);
  });

  it.each([
    [
      'two keys',
      () => [
        { key: keys[0]!, grant: first.grantId },
        { key: keys[1]!, grant: first.grantId },
      ],
    ],
    [
      'two grants',
      () => [
        { key: keys[0]!, grant: second.grantId },
        { key: keys[0]!, grant: first.grantId, host: 'a.test', target: '/other' },
      ],
    ],
    [
      'a grant and none',
      () => [
        { key: keys[1]!, grant: second.grantId },
        { key: keys[1]!, grant: null },
      ],
    ],
  ])('are not shared by %s', async (_, make) => {
    rig.sink().cut();
    await new Promise((resolve) => setTimeout(resolve, 50));
    rig.sink().forget();
    for (const each of make()) await ask(each);
    expect(rig.sink().accepts).toBe(2);
  });

  it('are not shared by two hosts of one secret', async () => {
    await ask({ key: keys[0]!, grant: first.grantId, host: 'a.test' });
    await ask({ key: keys[0]!, grant: first.grantId, host: 'b.test' });
    expect(rig.sink('b.test').accepts).toBe(1);
    expect(rig.sink('b.test').requests).toHaveLength(1);
  });

  it('are not shared by two versions of a secret', async () => {
    await ask({ key: keys[0]!, grant: second.grantId });
    const before = rig.sink().accepts;
    await rig.admin('POST', `/managed-secrets/${second.id}/rotate`, { credential_value: 'the-next-value' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await ask({ key: keys[0]!, grant: second.grantId });
    expect(rig.sink().accepts).toBe(before + 1);
    expect(rig.sink().requests.at(-1)!.all('authorization')).toEqual(['Bearer the-next-value']);
  });
});
