import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';

/* A pattern that allows more hosts than whoever wrote it has meant. */
describe('a wildcard in the allowed hosts', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  const below = ['a.hosts.test', 'a.b.hosts.test'];
  const beside = ['hosts.test', 'ahosts.test', 'a.hosts.test.evil.test', 'hosts.test.evil.test'];

  beforeAll(async () => {
    rig = await Rig.open({ sinks: [...below, ...beside] });
    const ports = [...below, ...beside].map((host) => `*.hosts.test:${rig.sink(host).port}`);
    secret = await rig.storeSecret({ hosts: ports });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const ask = (host: string) =>
    rig.curl(
      ['-o', '/dev/null', '-w', '%{http_code}', '-H', `X-Alter-Grant: ${secret.grantId}`].concat(
        `https://${rig.authorityOf(host)}/`,
      ),
      { key, user: secret.grantId },
    );

  it.each(below)('holds for what is below it: %s', async (host) => {
    expect((await ask(host)).stdout).toBe('200');
    expect(rig.sink(host).requests[0]?.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
  });

  it.each(beside)('brings no credential to what only looks like it: %s', async (host) => {
    await ask(host);
    expect(rig.sink(host).raw.includes(secret.canary)).toBe(false);
  });

  it.each([
    '*',
    '*.',
    '*.*',
    '*.test',
    '*.com',
    '*.co.uk',
    '*hosts.test',
    'a.*.test',
    'a*.hosts.test',
    '**.hosts.test',
    '*.*.hosts.test',
    '.hosts.test',
    '*.127.0.0.1',
    '*:443',
  ])('is refused when it is written: %s', async (pattern) => {
    await rig.admin('PUT', `/managed-secrets/${secret.id}/allowed-hosts`, { hosts: [pattern] }, [422]);
  });
});
