import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startAdmin } from '../../admin/main.ts';
import { AuditFile } from '../../telemetry/audit-file.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
let base: string;
beforeEach(async () => {
  rig = await startAdminRig();
  base = `/v1/apps/${rig.app.id}`;
});
afterEach(() => rig.close());

describe('while the audit can not be written', () => {
  it('nothing that exists is changed, and the answer is 503 audit_unavailable', async () => {
    const secret = (await rig.send('POST', `${base}/managed-secrets`, { body: { name: 'A', credential_value: 'v' } }))
      .json;
    const key = (await rig.send('POST', `${base}/keys`, { body: { name: 'k', scopes: ['proxy:execute'] } })).json;
    const paths = [`managed-secrets/${secret.id}`, `grants/${secret.grant_id}`, `keys/${key.id}`];
    const read = () => Promise.all(paths.map(async (path) => (await rig.send('GET', `${base}/${path}`)).json));
    const before = await read();
    await rig.audit.close();
    for (const [method, path, body] of [
      ['PATCH', paths[0], { name: 'B' }],
      ['PUT', `${paths[0]}/allowed-hosts`, { hosts: ['evil.example.com'] }],
      ['POST', `${paths[0]}/rotate`, { credential_value: 'w' }],
      ['DELETE', paths[0], undefined],
      ['PATCH', paths[1], { label: 'x' }],
      ['POST', `${paths[1]}/revoke`, undefined],
      ['PATCH', paths[2], { name: 'x' }],
      ['POST', `${paths[2]}/revoke`, undefined],
    ] as const) {
      const reply = await rig.send(method, `${base}/${path}`, { body });
      expect([path, reply.status, reply.json.code]).toEqual([path, 503, 'audit_unavailable']);
    }
    expect(await read()).toEqual(before);
  });

  it('what was created is taken back', async () => {
    const secret = (await rig.send('POST', `${base}/managed-secrets`, { body: { name: 'A', credential_value: 'v' } }))
      .json;
    await rig.audit.close();
    for (const [path, body] of [
      ['managed-secrets', { name: 'B', credential_value: 'v' }],
      ['managed-secrets/a/grants', { principal_type: 'system', label: 'late' }],
      ['keys', { name: 'k', scopes: ['proxy:execute'] }],
    ] as const)
      expect((await rig.send('POST', `${base}/${path}`, { body })).json.code).toBe('audit_unavailable');
    expect((await rig.send('GET', `${base}/managed-secrets`)).json.items).toHaveLength(1);
    expect((await rig.send('GET', `${base}/keys`)).json.total).toBe(0);
    const grants = (await rig.send('GET', `${base}/grants`)).json.items as { grant_id: string; status: string }[];
    const live = grants.filter(({ status }) => status === 'active').map((grant) => grant.grant_id);
    expect(live).toEqual([secret.grant_id]);
  });
});

describe('an audit file', () => {
  it('gets every change beside the store, and its failure is a failure of the audit', async () => {
    const path = join(tmpdir(), `alter-audit-${process.pid}.jsonl`);
    for (const [target, status] of [
      [path, 201],
      ['/dev/full', 503],
    ] as const) {
      const auditFile = new AuditFile({ path: target, durability: 'strict', timeoutMs: 2_000, maxPending: 10 });
      const admin = await startAdmin({ ...rig.options, auditFile, listen: { host: '127.0.0.1', port: 0 } });
      const reply = await fetch(`${admin.url}${base}/keys`, {
        method: 'POST',
        headers: { authorization: `Bearer ${rig.operator.plaintext}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'k', scopes: ['proxy:execute'] }),
      });
      expect(reply.status).toBe(status);
      await admin.close();
      await auditFile.close().catch(() => undefined);
    }
    const line: unknown = JSON.parse((await readFile(path, 'utf8')).trim());
    expect(line).toMatchObject({ event: 'key.minted', app_id: rig.app.id, principal_id: rig.operator.id });
    await rm(path);
    expect((await rig.send('GET', `${base}/keys`)).json.total).toBe(1);
  });
});

describe('a change that fails after it was recorded', () => {
  it('leaves a second record that says so', async () => {
    const secret = (await rig.send('POST', `${base}/managed-secrets`, { body: { name: 'A', credential_value: 'v' } }))
      .json;
    const rename = (name: string) =>
      rig.send('PATCH', `${base}/managed-secrets/a`, { body: { name }, headers: { 'if-match': '"1"' } });
    const replies = await Promise.all([rename('B'), rename('C')]);
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 412]));
    const events = (await rig.events()).filter(({ event }) => event === 'secret.updated');
    expect(events.every((event) => event.managed_secret_id === secret.id)).toBe(true);
    const outcomes = events.map(({ decision, code }) => code ?? decision);
    // The loser was either refused before anything was recorded, or its record is followed by the refusal.
    expect([['allow'], ['allow', 'allow', 'revision_conflict']]).toContainEqual(outcomes);
  });
});
