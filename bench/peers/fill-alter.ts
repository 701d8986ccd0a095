import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inParallel } from '../../test/support/in-parallel.ts';
import type { Upstream } from '../upstream.ts';

/** Every kind of rule that can be asked without a round trip to the store, and that this load fulfils. */
export const policy = {
  time_window: {
    timezone: 'UTC',
    days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
    start: '00:00',
    end: '24:00',
  },
  ip_allowlist: ['10.0.0.0/8', '127.0.0.0/8', '::1'],
  methods: ['GET', 'PUT'],
  paths: ['/small', '/bulk', '/large', '/upload', '/upload-large', '/events', '/socket', '/v1/**'],
};

/**
 * Puts a secret, its grant, policies at three levels and a key into an empty store, through the vault of the checkout that
 * will serve from it.
 */
export async function fillAlter(of: {
  readonly home: string;
  readonly storeUrl: string;
  readonly rootKey: Uint8Array;
  readonly upstream: Upstream;
  readonly credential: 'bearer' | 'sigv4';
  readonly grants: number;
  /** Gets the ids of all grants, a line each. */
  readonly grantsFile: string | null;
}): Promise<{ readonly key: string; readonly grantId: string }> {
  const from = <T>(file: string): Promise<T> => import(join(of.home, file)) as Promise<T>;
  const { openStore } = await from<typeof import('../../vault/store/store-url.ts')>('vault/store/store-url.ts');
  const { openVault } = await from<typeof import('../../vault/vault.ts')>('vault/vault.ts');
  const { openLocalKms } = await from<typeof import('../../vault/keys/kms-local.ts')>('vault/keys/kms-local.ts');
  const { SecretValue } = await from<typeof import('../../vault/secret-value.ts')>('vault/secret-value.ts');
  const { issueToken } = await from<typeof import('../../core/token.ts')>('core/token.ts');
  const { bootstrap } = await from<typeof import('../../admin/bootstrap.ts')>('admin/bootstrap.ts');
  const { upstream } = of;
  const store = await openStore(of.storeUrl);
  try {
    const vault = await openVault({ store, kms: openLocalKms({ rootKey: of.rootKey }), clock: Date.now });
    const { appId } = await bootstrap({ vault, clock: Date.now });
    await vault.apps.update(appId, (app) => ({ ...app, policy }));
    const app = await vault.app(appId);
    const isSigned = of.credential === 'sigv4';
    const { grant } = await app.secrets.create({
      draft: {
        name: 'bench',
        description: null,
        credentialType: isSigned ? 'aws_sig_v4' : 'bearer_token',
        injectionHeader: 'Authorization',
        injectionFormat: isSigned ? 'AWS4-HMAC-SHA256' : 'Bearer {token}',
        injectionRules: [],
        accountIdentifier: null,
        accountDisplayName: null,
        allowedHosts: [`${upstream.host}:${upstream.port}`, `*.${upstream.host}:${upstream.port}`],
        policy,
      },
      fields: SecretValue.of(
        isSigned
          ? {
              access_key_id: upstream.awsKeyId,
              secret_access_key: upstream.credential,
              region: 'us-east-1',
              service: 'execute-api',
            }
          : { token: upstream.credential },
      ),
      baseGrantLabel: 'default',
    });
    await app.grants.update(grant.value.id, (stored) => ({ ...stored, policy }));
    if (of.grantsFile !== null) {
      const ids = [grant.value.id];
      const { secretId } = grant.value;
      await inParallel(
        Array.from({ length: of.grants - 1 }, (_, index) => index),
        256,
        async (index) => {
          const draft = { secretId, label: `grant ${index}`, description: null, expiresAt: null };
          ids.push((await app.grants.create({ ...draft, principal: { type: 'system' }, policy })).value.id);
        },
      );
      writeFileSync(of.grantsFile, ids.map((id) => `${id}\n`).join(''));
    }
    const token = issueToken('runtime', Date.now());
    await app.keys.create({
      id: token.id,
      appId,
      keyType: 'runtime',
      agentId: null,
      parentId: null,
      rotatedFrom: null,
      rotatedAt: null,
      name: 'bench',
      scopes: ['proxy:execute'],
      cidr: ['127.0.0.0/8'],
      rateLimitRpm: null,
      expiresAt: null,
      digest: token.digest.toString('hex'),
      createdAt: Date.now(),
      revokedAt: null,
    });
    return { key: token.plaintext, grantId: grant.value.id };
  } finally {
    await store.close();
  }
}
