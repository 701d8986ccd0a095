import { AlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import { type IdentityProvider, tokenAlgorithms } from '../../core/identity-provider.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { listOf, objectOf, oneOf, text, truth, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export type IdentityProviderDraft = Omit<IdentityProvider, 'id' | 'appId' | 'createdAt' | 'updatedAt'>;

/** The data plane keeps all of an app's in memory, to choose by issuer. */
export const maxIdentityProviders = 50;

const claimName = text(256);

export const identityProviderKind: RecordKind<IdentityProvider> = {
  type: 'identity-provider',
  shape: {
    id: text(64),
    appId: text(64),
    name: text(1_024),
    issuer: text(2_048),
    audience: text(1_024),
    jwksUrl: text(2_048),
    claims: objectOf({ user: claimName, email: claimName, name: claimName, groups: claimName }),
    algorithms: listOf(oneOf(tokenAlgorithms), tokenAlgorithms.length),
    singleUse: truth,
    createdAt: whole,
    updatedAt: whole,
  },
  absent: { singleUse: false },
  idOf: (provider) => provider.id,
  spaceOf: (provider) => provider.appId,
  namesOf: (provider, keys) => [keys.word('issuer', provider.issuer)],
};

export class IdentityProviderRepository {
  readonly #records: SealedRecords<IdentityProvider>;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: identityProviderKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the issuer is taken, or where the app has as many as it may. */
  async create(draft: IdentityProviderDraft): Promise<Versioned<IdentityProvider>> {
    const { total } = await this.#records.list({ limit: 1, offset: 0 });
    if (total >= maxIdentityProviders)
      throw new AlterError('conflict', { detail: `An app has at most ${maxIdentityProviders} identity providers.` });
    const now = this.#clock();
    const { name, issuer, audience, jwksUrl, claims, algorithms, singleUse } = draft;
    const appId = this.#keys.space;
    const id = issueId(now);
    return this.#records.create({
      id,
      appId,
      name,
      issuer,
      audience,
      jwksUrl,
      claims,
      algorithms,
      singleUse,
      createdAt: now,
      updatedAt: now,
    });
  }

  /** Throws `not_found`. */
  get(id: string): Promise<Versioned<IdentityProvider>> {
    return this.#records.get(id);
  }

  /** Throws `not_found`, `conflict` where the issuer is taken. */
  update(
    id: string,
    change: (provider: IdentityProvider) => IdentityProvider,
    expectedRevision?: number,
  ): Promise<Versioned<IdentityProvider>> {
    return this.#records.update(
      id,
      (provider) => {
        const changed = change(provider);
        if (changed === provider) return provider;
        const { appId, createdAt } = provider;
        return { ...changed, id, appId, createdAt, updatedAt: this.#clock() };
      },
      expectedRevision,
    );
  }

  /** From then on its tokens prove nothing, and what its users lent is worth nothing. Throws `not_found`. */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    await this.#records.delete(id, expectedRevision);
  }

  list(query: PageQuery): Promise<Page<IdentityProvider>> {
    return this.#records.list(query);
  }
}
