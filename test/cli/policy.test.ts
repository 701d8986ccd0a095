import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, type Ended } from './alter.ts';

let rig: AdminRig;
let directory: string;
let grantId: string;

beforeAll(async () => {
  rig = await startAdminRig();
  directory = mkdtempSync(join(tmpdir(), 'alter-cli-policy-'));
  const { json } = await rig.send('POST', `/v1/apps/${rig.app.id}/managed-secrets`, {
    body: { name: 'Stripe', credential_value: 'sk', allowed_hosts: ['api.stripe.com'] },
  });
  grantId = json.grant_id;
});
afterAll(async () => {
  await rig.close();
  rmSync(directory, { recursive: true });
});

const run = (words: readonly string[], stdin?: string): Promise<Ended> =>
  alter(words, {
    env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id },
    ...(stdin === undefined ? {} : { stdin }),
  });
const file = (name: string, document: object): string => {
  writeFileSync(join(directory, name), JSON.stringify(document));
  return `@${join(directory, name)}`;
};

describe('alter policy', () => {
  it('sets, shows and clears a policy at each level', async () => {
    const policy = { methods: ['GET'], paths: ['/v1/**'] };
    for (const target of [[], ['--secret', 'stripe'], ['--grant', grantId]]) {
      const set = await run(['policy', 'set', ...target, '--policy', file('policy.json', policy)]);
      expect([set.code, JSON.parse(set.stdout)]).toEqual([0, policy]);
      expect(JSON.parse((await run(['policy', 'show', ...target])).stdout)).toEqual(policy);
      expect(JSON.parse((await run(['policy', 'set', ...target, '--clear'])).stdout)).toEqual({});
    }
    expect((await run(['policy', 'set', '--policy', '-'], JSON.stringify(policy))).code).toBe(0);
    expect((await run(['policy', 'set', '--clear'])).code).toBe(0);
  });

  it('says which rule is wrong, which input is missing, and what does not exist', async () => {
    const wrong = await run(['policy', 'set', '--policy', file('wrong.json', { methods: ['get'], path: ['/v1/**'] })]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('methods') });
    expect(wrong.stderr).toContain('path ');
    expect(await run(['policy', 'set'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--policy is missing'),
    });
    expect(await run(['policy', 'show', '--secret', 'a', '--grant', 'b'])).toMatchObject({ code: 2 });
    expect(await run(['policy', 'show', '--secret', 'no-such'])).toMatchObject({ code: 4 });
    expect(await run(['policy', 'set', '--policy', '@/nonexistent'])).toMatchObject({ code: 4 });
  });
});

describe('alter grants', () => {
  it('makes and changes a grant with a policy, lists and shows it', async () => {
    const create = ['managed-secrets', 'grants', 'create', 'stripe', '--principal-type', 'system', '--label', 'narrow'];
    const made = await run([...create, '--grant-policy', file('narrow.json', { methods: ['GET'] })]);
    const { grant_id: id } = JSON.parse(made.stdout) as { grant_id: string };
    expect(JSON.parse((await run(['grants', 'show', id])).stdout)).toMatchObject({
      grant_policy: { methods: ['GET'] },
    });
    expect((await run(['grants', 'list', '--fields', 'grant_id,managed_secret_slug'])).stdout).toContain(id);
    const update = ['managed-secrets', 'grants', 'update', id, '--grant-policy'];
    expect(JSON.parse((await run([...update, 'none'])).stdout)).toMatchObject({ grant_policy: null });
    const wrong = await run([...update, file('wrong.json', { methods: ['get'] })]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('--grant-policy.methods') });
  });

  it('explains which rule would refuse, and the way out', async () => {
    await run(['policy', 'set', '--secret', 'stripe', '--policy', file('post.json', { methods: ['POST'] })]);
    const ask = ['grants', 'explain', grantId, '--url', 'https://api.stripe.com/v1/charges'];
    const refused = await run(ask);
    expect([refused.code, JSON.parse(refused.stdout)]).toEqual([
      0,
      expect.objectContaining({
        ...{ decision: 'deny', code: 'policy_violation', policy_error: 'method_not_allowed', level: 'secret' },
        ...{ rule: 'secret.policy.methods', hint: expect.stringContaining('alter policy set --secret stripe') },
      }),
    ]);
    expect(JSON.parse((await run([...ask, '--method', 'POST'])).stdout)).toMatchObject({ decision: 'allow' });
    expect(await run(['grants', 'explain', grantId])).toMatchObject({ code: 2 });
    expect(await run([...ask.slice(0, 4), 'api.stripe.com'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--url'),
    });
  });
});
