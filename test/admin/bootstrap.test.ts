import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { bootstrap } from '../../admin/bootstrap.ts';
import { dashboardScopes } from '../../core/access-token.ts';
import { findToken } from '../../core/token.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import type { Store } from '../../vault/store/store.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault, type Vault } from '../../vault/vault.ts';

let directory: string;
let store: Store;
let vault: Vault;
const clock = () => 1_800_000_000_000;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'alter-bootstrap-'));
  store = await openSqliteStore({ path: join(directory, 'alter.db') });
  vault = await openVault({ store, kms: openLocalKms({ rootKey: randomBytes(32) }), clock });
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

describe('the first start', () => {
  it('creates the app default and a token with every scope, and records both', async () => {
    const audit = new AuditLog({ vault, writer: 'test', mode: 'strict' });
    const { appId, accessToken } = await bootstrap({ vault, clock, audit });
    expect((await vault.apps.get('default')).value.id).toBe(appId);
    expect(findToken(accessToken!.plaintext)?.kind).toBe('pat');
    const record = (await vault.accessTokens.get(accessToken!.id)).value;
    expect(record).toMatchObject({ scopes: dashboardScopes, appId: null, expiresAt: null });
    expect(JSON.stringify(record)).not.toContain(accessToken!.plaintext);
    const list = { order: 'ascending', limit: 10 } as const;
    expect((await (await vault.app(appId)).audit.list(list)).events).toMatchObject([{ event: 'app.created' }]);
    expect((await vault.audit.list(list)).events).toMatchObject([{ event: 'token.created' }]);
    await audit.close();
  });

  it('is carried on with where it stopped after the app', async () => {
    const app = await vault.apps.create({ name: 'default' });
    const { appId, accessToken } = await bootstrap({ vault, clock });
    expect(appId).toBe(app.value.id);
    expect(accessToken).toBeDefined();
  });
});

describe('a later start', () => {
  it('issues nothing and finds the app, also beside others', async () => {
    const first = await bootstrap({ vault, clock });
    await vault.apps.create({ name: 'another' });
    expect(await bootstrap({ vault, clock })).toEqual({ appId: first.appId });
    expect((await vault.accessTokens.list({ limit: 10, offset: 0 })).total).toBe(1);
    expect((await vault.apps.list({ limit: 10, offset: 0 })).total).toBe(2);
  });
});
