import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoreKind, storeKinds } from '../support/rig.ts';
import { mustOpen } from '../support/tunnel-client.ts';

describe.each(storeKinds)('an app at the proxy, on %s', (store: StoreKind) => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.open({ store, sinks: ['a.test', 'idp.test'] });
  });
  afterAll(() => rig.close());

  const open = (key: string, grant?: string) =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      ...(grant === undefined ? {} : { headers: [`X-Alter-Grant: ${grant}`] }),
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });

  it('lets a user whom an operator put into a group use what the group may use, until they are taken out', async () => {
    const provider = await TestIdentityProvider.open(rig, 'idp.test', Date.now);
    const idpId = await provider.register(rig, {});
    const key = await rig.mintKey();
    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const group = { idp_id: idpId, external_group_id: 'ops' };
    const { id: ops } = await rig.admin<{ id: string }>('POST', '/groups', group);
    const { id: ada } = await rig.admin<{ id: string }>('POST', '/users', { idp_id: idpId, external_id: 'ada' });
    const { grant_id: grant } = await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${secret.id}/grants`, {
      principal_type: 'group',
      ...group,
    });
    const token = await provider.token({ sub: 'ada' });
    const tunnel = await open(key.key);
    const outcome = async () => {
      tunnel.socket.write(
        `GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${grant}\r\nX-Alter-User-Token: ${token}\r\n\r\n`,
      );
      const answer = await tunnel.reader.next();
      return answer.headers['x-alter-error'] ?? answer.status;
    };
    expect(await outcome()).toBe('principal_mismatch');
    await rig.admin('PUT', `/groups/${ops}/members/${ada}`);
    await eventually(async () => (await outcome()) === 200);
    await rig.admin('DELETE', `/groups/${ops}/members/${ada}`);
    await eventually(async () => (await outcome()) === 'principal_mismatch');
    tunnel.socket.destroy();
  });

  it('remembers when a key and a grant were last used, without a new revision of either', async () => {
    const key = await rig.mintKey({ scopes: ['proxy:execute', 'keys:derive'] });
    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const read = (path: string) => rig.admin<{ last_used_at: string | null; status: string }>('GET', path);
    expect((await read(`/keys/${key.id}`)).last_used_at).toBeNull();
    const derive = await fetch(`${rig.service.adminUrl}/v1/runtime/keys/derive`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'd', scopes: ['proxy:execute'] }),
    });
    const derived = (await derive.json()) as { id: string; key: string };
    const before = Date.now();
    const tunnel = await open(derived.key, secret.grantId);
    tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n\r\n`);
    expect((await tunnel.reader.next()).status).toBe(200);
    tunnel.socket.destroy();
    for (const path of [`/keys/${derived.id}`, `/keys/${key.id}`, `/grants/${secret.grantId}`])
      await eventually(async () => {
        const { last_used_at: at } = await read(path);
        return at !== null && Math.abs(Date.parse(at) - before) < 10_000;
      }, 10_000);
    const keys = await rig.admin<{ items: { id: string; last_used_at: string | null }[] }>('GET', '/keys');
    expect(keys.items.find(({ id }) => id === derived.id)?.last_used_at).not.toBeNull();
    await rig.admin('PATCH', `/keys/${derived.id}`, { name: 'renamed' });
  });

  it('is refused while it is archived, on open connections too, and unknown once it is deleted', async () => {
    const key = await rig.mintKey();
    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const tunnel = await open(key.key, secret.grantId);
    const ask = async (header = '') => {
      tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n${header}\r\n`);
      const answer = await tunnel.reader.next();
      return answer.headers['x-alter-error'] ?? answer.status;
    };
    expect(await ask()).toBe(200);
    await rig.admin('POST', '/archive');
    await eventually(async () => (await ask()) === 'app_archived');
    rig.sink().forget();
    expect(await ask()).toBe('app_archived');
    await expect(open(key.key, secret.grantId)).rejects.toThrow('app_archived');
    const untagged = await rig.curl([`https://${rig.authorityOf()}/`], { key: key.key });
    expect(untagged.stdout).toContain('app_archived');
    expect(rig.sink().requests).toEqual([]);
    await rig.admin('POST', '/unarchive');
    await eventually(async () => (await ask()) === 200);

    const { name } = await rig.admin<{ name: string }>('GET', `/v1/apps/${rig.appId}`);
    await rig.admin('DELETE', `/v1/apps/${rig.appId}?confirm=${encodeURIComponent(name)}`);
    await eventually(async () => (await ask()) === 'key_invalid');
    await expect(open(key.key, secret.grantId)).rejects.toThrow('key_invalid');
    tunnel.socket.destroy();
  });
});
