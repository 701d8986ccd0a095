import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret, storeKinds } from '../support/rig.ts';

describe.each(storeKinds)('an injected request, with state in %s', (store) => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ store });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  it('carries the credential to the upstream, while curl neither sends nor sees it', async () => {
    const { code, stdout, stderr } = await rig.curl(
      ['-v', '-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/v1/charges?limit=3`],
      { key },
    );
    expect(stderr).toContain('200 OK');
    expect(code).toBe(0);
    expect(stdout).toBe('ok');
    const [seen] = rig.sink().requests;
    expect(seen?.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    expect(seen?.url).toBe('/v1/charges?limit=3');
    expect(stdout + stderr).not.toContain(secret.canary);
  });
});
