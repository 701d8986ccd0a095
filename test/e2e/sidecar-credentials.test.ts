import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { parse } from 'yaml';
import { findAppKey } from '../../core/app-key.ts';
import { startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended } from '../cli/alter.ts';
import { Rig } from '../support/rig.ts';

interface Credentials {
  readonly app_key: string;
  readonly store_url: string;
  readonly store_user: string;
  readonly store_user_made: boolean;
  readonly store_rule: string;
  readonly notes: readonly string[];
}

describe('the credentials of a sidecar', () => {
  let rig: Rig;
  const issue = (body: object = {}) => rig.admin<Credentials>('POST', '/sidecar-credentials', body);
  const cli = (...words: string[]): Promise<Ended> =>
    alter(['apps', 'sidecar-credentials', 'default', ...words], {
      env: { ALTER_ADMIN_URL: rig.service.adminUrl!, ALTER_PAT: rig.pat },
    });
  const signIn = async (url: string): Promise<string> => {
    const client = new RedisClient(url, { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.hget(`alter:{${rig.appId}}:head`, 'n').then(() => 'ok');
    } catch (error) {
      expect(String(error)).toContain('Connection is closed'); // by ioredis, because the server refused the password
      return 'refused';
    } finally {
      client.disconnect();
    }
  };

  beforeAll(async () => {
    rig = await Rig.open({ store: 'redis' });
  });
  afterAll(() => rig?.close());

  it('are the key of the app and a user of the store, and are recorded before they are shown', async () => {
    const made = await issue();
    expect(findAppKey(made.app_key)?.appId).toBe(rig.appId);
    expect(made.store_user_made).toBe(true);
    expect(made.store_rule).not.toContain(new URL(made.store_url).password);
    expect(made.notes).toEqual([expect.stringContaining('forgets the user when it restarts')]);
    expect(await signIn(made.store_url)).toBe('ok');
    const { items } = await rig.admin<{ items: { event: string; decision: string }[] }>('GET', '/audit?limit=20');
    expect(items).toContainEqual(expect.objectContaining({ event: 'sidecar_credentials.issued', decision: 'allow' }));
    for (const word of [made.app_key.slice(-49), new URL(made.store_url).password]) {
      expect(JSON.stringify(items)).not.toContain(word);
      expect(rig.logText).not.toContain(word);
    }
  });

  it('end with the next ones, unless these are to go on', async () => {
    const first = await issue();
    const second = await issue({ keep_old: true });
    expect([await signIn(first.store_url), await signIn(second.store_url)]).toEqual(['ok', 'ok']);
    const third = await issue();
    expect(await signIn(first.store_url)).toBe('refused');
    expect([await signIn(second.store_url), await signIn(third.store_url)]).toEqual(['refused', 'ok']);
    expect(new Set([first, second, third].map(({ app_key: key }) => key)).size).toBe(1);
  });

  it('are refused on an embedded store, which no sidecar can reach, and to whoever may not administer the app', async () => {
    const embedded = await startAdminRig();
    try {
      const path = `/v1/apps/${embedded.app.id}/sidecar-credentials`;
      const refused = await embedded.send('POST', path, { body: {} });
      expect([refused.status, refused.json.code, refused.json.hint]).toEqual([
        409,
        'conflict',
        expect.stringContaining('ALTER_STORE_URL'),
      ]);
      const token = (await embedded.issuePat(['dashboard_apps:write', 'dashboard_apps:delete'])).plaintext;
      expect((await embedded.send('POST', path, { body: {}, token })).json.code).toBe('insufficient_scope');
    } finally {
      await embedded.close();
    }
  });

  it('are printed as an environment file, as the Secret that a pod mounts, and as JSON', async () => {
    const env = await cli();
    expect(env.stdout).toMatch(/^ALTER_APP_KEY=alter_appkey_\S+\nALTER_STORE_URL=redis:\/\/alter-sidecar-\S+\n$/);
    expect(env.stderr).toContain('not shown again');
    const secret = await cli('--format', 'kubernetes-secret', '--namespace', 'shop');
    expect(parse(secret.stdout)).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'alter-egress-default', namespace: 'shop' },
      type: 'Opaque',
      stringData: {
        ALTER_APP_KEY: expect.stringMatching(/^alter_appkey_/),
        ALTER_STORE_URL: expect.stringMatching(/^redis:\/\/alter-sidecar-/),
      },
    });
    const json = await cli('--output', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({ app_id: rig.appId, store_user_made: expect.any(Boolean) });
    const bad = await cli('--format', 'kubernetes-secret', '--secret-name', 'Not A Name');
    expect([bad.code, bad.stdout]).toEqual([2, '']);
  });

  it('come with the rule to run where the service may make no users of the store', async () => {
    const client = new RedisClient(rig.redis!.url);
    await client.call('ACL', 'SETUSER', 'operator', 'on', '>secret', '+@all', '~*');
    await client.call('ACL', 'SETUSER', 'default', '-acl|setuser');
    client.disconnect();
    const made = await issue();
    expect([made.store_user_made, made.notes.join()]).toEqual([false, expect.stringContaining('NOPERM')]);
    expect(await signIn(made.store_url)).toBe('refused');
    const operator = new RedisClient(rig.redis!.url.replace('//', '//operator:secret@'));
    const [command, ...words] = made.store_rule.split(' ');
    await operator.call(command!, ...words);
    operator.disconnect();
    expect(await signIn(made.store_url)).toBe('ok');
  });
});
