import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keyIdOf } from '../../admin/keys.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret, storeKinds } from '../support/rig.ts';

interface Key {
  readonly id: string;
  readonly key: string;
  readonly status: string;
}
interface Problem {
  readonly code: string;
  readonly detail: string;
}

describe.each(storeKinds)('a runtime key, with state in %s', (store) => {
  let rig: Rig;
  let secret: StoredSecret;
  beforeAll(async () => {
    rig = await Rig.open({ store });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  });
  afterAll(() => rig?.close());

  const mint = (body: object = {}) =>
    rig.admin<Key>('POST', '/keys', { name: 'k', scopes: ['proxy:execute'], ...body });
  const show = (id: string) => rig.admin<Key>('GET', `/keys/${id}`);
  const rotate = (id: string, body: object = {}) => rig.admin<Key>('POST', `/keys/${id}/rotate`, body);
  const refused = (path: string, body: object = {}) => rig.admin<Problem>('POST', path, body, [409]);
  const statistics = () => rig.admin<Record<string, number>>('GET', '/keys/statistics');
  /** The head of an answer of the upstream, or of the proxy that refuses the key. */
  const use = async (key: string, grant = secret.grantId) => {
    const args = ['-si', '-H', `X-Alter-Grant: ${grant}`, `https://${rig.authorityOf()}/`];
    const { stdout, stderr } = await rig.curl(args, { key });
    return stdout + stderr;
  };

  it('is rotated without downtime: both work, the old one is marked, until it is revoked', async () => {
    const before = await statistics();
    const old = await mint({ name: 'checkout', cidr: ['127.0.0.0/8'], rate_limit_rpm: 600, expires_in: '12h' });
    expect(await use(old.key)).not.toMatch(/x-alter-key-deprecated/i);
    const next = await rotate(old.id);
    expect(next).toMatchObject({
      ...{ name: 'checkout', cidr: ['127.0.0.0/8'], rate_limit_rpm: 600, scopes: ['proxy:execute'] },
      ...{ rotated_from: old.id, status: 'active', expires_at: (old as unknown as { expires_at: string }).expires_at },
    });
    expect(next.key).not.toBe(old.key);
    expect(await show(old.id)).toMatchObject({ status: 'rotated_in_grace', rotated_from: null });
    expect(await statistics()).toEqual({
      ...{ active: before.active! + 1, rotated_in_grace: before.rotated_in_grace! + 1 },
      ...{ total: before.total! + 2, max_allowed: before.max_allowed },
    });

    expect(await use(next.key)).toMatch(/200 OK/);
    await eventually(async () => /x-alter-key-deprecated: true/i.test(await use(old.key)));
    expect(await use(next.key)).not.toMatch(/x-alter-key-deprecated/i);
    expect(rig.sink().requests.at(-1)?.rawHeaders.join(' ')).not.toMatch(/deprecated/i);

    await rig.admin('POST', `/keys/${old.id}/revoke`);
    await eventually(async () => /407|key_revoked/.test(await use(old.key)));
    expect(await use(next.key)).toMatch(/200 OK/);
    expect((await statistics()).rotated_in_grace).toBe(before.rotated_in_grace);
  });

  it('takes other scopes at its rotation, and is not rotated twice, nor when it is dead', async () => {
    const old = await mint();
    expect(await rotate(old.id, { scopes: ['grants:read'] })).toMatchObject({ scopes: ['grants:read'] });
    expect((await refused(`/keys/${old.id}/rotate`)).detail).toContain('rotated already');
    await rig.admin('POST', `/keys/${old.id}/revoke`);
    expect((await refused(`/keys/${old.id}/rotate`)).detail).toContain('revoked');
    await rig.admin('POST', '/keys/nobody/rotate', {}, [404]);
    await rig.admin('POST', `/keys/${old.id}/rotate`, { scopes: [] }, [422]);
  });

  it('has one successor, however many rotate it at once', async () => {
    const old = await mint();
    const made = await Promise.all(
      Array.from({ length: 8 }, () => rig.admin<object>('POST', `/keys/${old.id}/rotate`, {}, [201, 409])),
    );
    expect(made.filter((answer) => 'key' in answer)).toHaveLength(1);
    const all = await rig.admin<{ items: { rotated_from: string | null }[] }>('GET', '/keys?limit=1000');
    expect(all.items.filter(({ rotated_from: from }) => from === old.id)).toHaveLength(1);
  });

  it('takes the keys that were derived from it along when it is revoked', async () => {
    const parent = await mint({ scopes: ['proxy:execute', 'keys:derive'] });
    const derived = await derive(parent.key);
    expect(await use(derived.key)).toMatch(/200 OK/);
    expect((await refused(`/keys/${derived.id}/rotate`)).detail).toContain('derived key');
    await rig.admin('POST', `/keys/${keyIdOf(parent.id)}/revoke`);
    expect((await show(derived.id)).status).toBe('revoked');
    await eventually(async () => /407|key_revoked/.test(await use(derived.key)));
    const { items } = await rig.admin<{ items: { key_id: string; reason: string | null }[] }>(
      'GET',
      '/audit?event=key.revoked&limit=2&order=desc',
    );
    expect(items.map(({ key_id: id }) => id)).toEqual([derived.id, parent.id]);
    expect(items[0]!.reason).toBe(`derived from ${parent.id}`);
  });

  it('that is the only active one of its agent is revoked only by force', async () => {
    await rig.admin('POST', '/agents', { name: 'mailer' });
    const first = await mint({ key_type: 'agent', agent_id: 'mailer' });
    const problem = await refused(`/keys/${first.id}/revoke`);
    expect([problem.code, problem.detail]).toEqual(['conflict', expect.stringContaining('mailer')]);
    expect((await show(first.id)).status).toBe('active');
    const second = await rotate(first.id);
    expect(second).toMatchObject({ key_type: 'agent', key: expect.stringMatching(/^alter_ak_/) });
    await refused(`/keys/${second.id}/revoke`); // the one in grace is to go, and does not count
    expect(await rig.admin('POST', `/keys/${first.id}/revoke`)).toMatchObject({ status: 'revoked' });
    expect(await rig.admin('POST', `/keys/${second.id}/revoke`, { force: true })).toMatchObject({ status: 'revoked' });
    await rig.admin('POST', `/keys/${second.id}/revoke`); // once more changes nothing
  });

  it('of an agent that is running out is not rotated', async () => {
    await rig.admin('POST', '/agents', { name: 'old-bot' });
    const key = await mint({ key_type: 'agent', agent_id: 'old-bot' });
    await rig.admin('POST', '/agents/old-bot/deprecate');
    expect((await refused(`/keys/${key.id}/rotate`)).detail).toContain('deprecated');
  });

  async function derive(key: string): Promise<Key> {
    const response = await fetch(`${rig.service.adminUrl}/v1/runtime/keys/derive`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'job', scopes: ['proxy:execute'] }),
    });
    return (await response.json()) as Key;
  }
});
