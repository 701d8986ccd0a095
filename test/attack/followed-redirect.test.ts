import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';

/*
 * A redirect that leads a credential to another host. The proxy follows none; what the client follows is a request of its own
 * with a decision of its own, also where the client sends all its headers along. Each client's own ways are in
 * `test/e2e/clients.test.ts`.
 */
describe('a redirect to another host', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'b.test'], settings: { ALTER_EGRESS_MODE: 'deny' } });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => {
    for (const host of ['a.test', 'b.test']) rig.sink(host).forget();
  });
  afterAll(() => rig?.close());

  const ask = (words: readonly string[]) =>
    rig.curl([...words, '-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/`], { key });

  it.each([301, 302, 303, 307, 308])('is passed on and not followed: %i', async (status) => {
    const to = `https://${rig.authorityOf('b.test')}/`;
    rig.sink().answer = (_, res) => res.writeHead(status, { location: to }).end();
    const { stdout } = await ask(['-o', '/dev/null', '-w', '%{http_code} %{redirect_url}']);
    expect(stdout).toBe(`${status} ${to}`);
    expect(rig.sink('b.test').accepts).toBe(0);
  });

  it('gets the client that follows it no further, although it repeats every header', async () => {
    rig.sink().answer = (_, res) => res.writeHead(307, { location: `https://${rig.authorityOf('b.test')}/` }).end();
    const { code, stderr } = await ask(['--location-trusted']);
    expect([code, stderr]).toEqual([56, expect.stringContaining('403')]);
    expect(rig.sink('b.test').accepts).toBe(0);
  });

  it('to plain HTTP is passed on, and the credential does not go there', async () => {
    rig.sink().answer = (_, res) => res.writeHead(301, { location: `http://${rig.authorityOf('b.test')}/` }).end();
    const { stdout } = await ask(['-o', '/dev/null', '-w', '%{http_code}']);
    expect(stdout).toBe('301');
    expect(rig.sink('b.test').accepts).toBe(0);
  });
});
