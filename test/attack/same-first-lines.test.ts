import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { openTunnel } from '../support/tunnel-client.ts';

/**
 * The proxy keeps, over connections, what it made of the header lines with which they began. Whoever begins with the very
 * lines of somebody else, or with their own of before, must get nothing by that.
 */
describe('connections that begin with the same header lines', () => {
  let rig: Rig;
  let secrets: readonly [StoredSecret, StoredSecret];
  let keys: readonly [Key, Key];
  type Key = Awaited<ReturnType<Rig['mintKey']>>;
  const often = 5;

  beforeAll(async () => {
    rig = await Rig.open({ settings: { ALTER_EGRESS_MODE: 'deny' } });
  });
  afterAll(() => rig?.close());
  beforeEach(async () => {
    const hosts = [rig.authorityOf()];
    secrets = [await rig.storeSecret({ hosts }), await rig.storeSecret({ hosts })];
    keys = [await rig.mintKey(), await rig.mintKey()];
    rig.sink().forget();
  });

  /** The grant is named on the CONNECT, so that what is sent inside is the same of everybody. */
  const ask = async (of: { readonly key: Key; readonly grantId: string | null }): Promise<string> => {
    const opened = await openTunnel({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key: of.key.key,
      headers: of.grantId === null ? [] : [`X-Alter-Grant: ${of.grantId}`],
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    if (opened.kind !== 'open')
      return opened.kind === 'refused' ? (opened.answer.headers['x-alter-error'] ?? '') : opened.code;
    opened.socket.write(`GET /same HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nAccept: */*\r\n\r\n`);
    const { status, headers } = await opened.reader.next();
    opened.socket.destroy();
    if (status !== 200) return headers['x-alter-error'] ?? String(status);
    const sent = JSON.stringify(rig.sink().requests.at(-1));
    const [canary] = secrets.filter((secret) => sent.includes(secret.canary)).map((secret) => secret.canary);
    return canary ?? 'none';
  };

  it('each get the credential of the grant that their own CONNECT names', async () => {
    for (let i = 0; i < often; i++)
      for (const key of keys)
        for (const { grantId, canary } of secrets) expect(await ask({ key, grantId })).toBe(canary);
  });

  it('get a new version of the credential from the moment it is there', async () => {
    const [{ id, grantId }] = secrets;
    const [key] = keys;
    for (let i = 0; i < often; i++) expect(await ask({ key, grantId })).toBe(secrets[0].canary);
    await rig.admin('POST', `/managed-secrets/${id}/rotate`, { credential_value: `${secrets[1].canary}` });
    for (let i = 0; i < often; i++) expect(await ask({ key, grantId })).toBe(secrets[1].canary);
  });

  it('are refused from the moment the key is revoked, on the CONNECT, with and without a grant', async () => {
    const [key, other] = keys;
    const [{ grantId, canary }] = secrets;
    for (let i = 0; i < often; i++) {
      expect(await ask({ key, grantId })).toBe(canary);
      expect(await ask({ key, grantId: null })).toBe('egress_denied');
    }
    await rig.admin('POST', `/keys/${key.id}/revoke`);
    expect(await ask({ key, grantId })).toBe('key_revoked');
    expect(await ask({ key, grantId: null })).toBe('key_revoked');
    expect(await ask({ key: other, grantId })).toBe(canary);
  });

  it('are refused from the moment the grant is revoked, or no secret allows the host', async () => {
    const [key] = keys;
    for (let i = 0; i < often; i++) expect(await ask({ key, grantId: secrets[0].grantId })).toBe(secrets[0].canary);
    await rig.admin('POST', `/grants/${secrets[0].grantId}/revoke`);
    expect(await ask({ key, grantId: secrets[0].grantId })).toBe('grant_revoked');
    for (const { id } of secrets) await rig.admin('PUT', `/managed-secrets/${id}/allowed-hosts`, { hosts: [] });
    expect(await ask({ key, grantId: secrets[1].grantId })).toBe('host_not_allowed');
  });
});
