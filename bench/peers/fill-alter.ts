import { join } from 'node:path';
import type { Upstream } from '../upstream.ts';

/** Every kind of rule that can be asked without a round trip to the store, and that this load fulfils. */
const policy = {
  time_window: {
    timezone: 'UTC',
    days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
    start: '00:00',
    end: '24:00',
  },
  ip_allowlist: ['10.0.0.0/8', '127.0.0.0/8', '::1'],
  methods: ['GET', 'PUT'],
  paths: ['/small', '/bulk', '/upload', '/v1/**'],
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
}): Promise<{ readonly key: string; readonly grantId: string }> {
  const from = <T>(file: string): Promise<T> => import(join(of.home, file)) as Promise<T>;
  const { openStore } = await from<typeof import('../../vault/store-url.ts')>('vault/store-url.ts');
  const { openVault } = await from<typeof import('../../vault/vault.ts')>('vault/vault.ts');
  const { openLocalKms } = await from<typeof import('../../vault/kms-local.ts')>('vault/kms-local.ts');
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
    const { grant } = await app.secrets.create({
      draft: {
        name: 'bench',
        description: null,
        credentialType: 'bearer_token',
        injectionHeader: 'Authorization',
        injectionFormat: 'Bearer {token}',
        injectionRules: [],
        accountIdentifier: null,
        accountDisplayName: null,
        allowedHosts: [`${upstream.host}:${upstream.port}`],
        policy,
      },
      fields: SecretValue.of({ token: upstream.credential }),
      baseGrantLabel: 'default',
    });
    await app.grants.update(grant.value.id, (stored) => ({ ...stored, policy }));
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
