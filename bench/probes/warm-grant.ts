import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { ReadModel } from '../../vault/read-model.ts';
import { SecretValue } from '../../vault/secret-value.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault } from '../../vault/vault.ts';
import type { Probe } from '../probe.ts';

const lookUps = 1_000;

export const probe: Probe = {
  name: 'warm-grant',
  title: `Questions to the store for ${lookUps.toLocaleString('en')} look-ups of a grant, and of its secret, that were looked up before`,
  figure: 'questions',
  digits: 0,
  measure: async ({ directory }) => {
    const store = await openSqliteStore({ path: join(directory, 'warm.db') });
    let asked = 0;
    for (const name of ['get', 'findByName', 'findByTags', 'list'] as const) {
      const real = store[name].bind(store) as (...of: unknown[]) => unknown;
      Object.assign(store, {
        [name]: (...of: unknown[]) => {
          asked++;
          return real(...of);
        },
      });
    }
    try {
      const vault = await openVault({ store, kms: openLocalKms({ rootKey: randomBytes(32) }), clock: Date.now });
      const appId = (await vault.apps.create({ name: 'bench' })).value.id;
      const app = await vault.app(appId);
      const { secret, grant } = await app.secrets.create({
        draft: {
          name: 'bench',
          description: null,
          credentialType: 'bearer_token',
          injectionHeader: 'Authorization',
          injectionFormat: 'Bearer {token}',
          injectionRules: [],
          accountIdentifier: null,
          accountDisplayName: null,
          allowedHosts: ['api.example.com'],
          policy: null,
        },
        fields: SecretValue.of({ token: 'a token' }),
        baseGrantLabel: 'default',
      });
      const model = new ReadModel({ vault, maxStalenessMs: 60_000 });
      const lookUp = async (): Promise<void> => {
        if ((await model.findGrant(appId, grant.value.id)) === null) throw new Error('the grant is missing');
        if ((await model.findSecret(appId, secret.value.id)) === null) throw new Error('the secret is missing');
      };
      await lookUp();
      asked = 0;
      for (let i = 0; i < lookUps; i++) await lookUp();
      model.close();
      return [asked];
    } finally {
      await store.close();
    }
  },
};
