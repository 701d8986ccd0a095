import { credentialTypes } from '../../core/credential.ts';
import { defaultDelegationTtlDays } from '../../core/delegation.ts';
import { AlterError } from '../../core/errors.ts';
import type { Grant } from '../../core/grant.ts';
import { formatHostPattern, parseHostPattern } from '../../core/host-pattern.ts';
import { isId, issueId } from '../../core/id.ts';
import { maxInjectionRules } from '../../core/injection.ts';
import type { Secret } from '../../core/secret.ts';
import { slugCandidate, slugify } from '../../core/slug.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { SecretValue } from '../secret-value.ts';
import { type Change, NameTaken, RevisionConflict, type Store } from '../store/store.ts';
import { asked, fromStoreFailure } from '../store/store-failure.ts';
import { type GrantRepository, grantKind } from './grant-repository.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, listOf, maxPolicyBytes, objectOf, oneOf, orNull, text, truth, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords, sealRecord } from './sealed-records.ts';
import { sealVersion, secretVersionKind, versionId, versionTag } from './secret-version.ts';

/** What an operator says of a new secret. The vault adds id, slug, version, field names and times. */
export type SecretDraft = Pick<
  Secret,
  | 'name'
  | 'description'
  | 'credentialType'
  | 'injectionHeader'
  | 'injectionFormat'
  | 'injectionRules'
  | 'accountIdentifier'
  | 'accountDisplayName'
  | 'allowedHosts'
> &
  Partial<Pick<Secret, 'template' | 'allowGroupDelegation' | 'maxDelegationTtlDays' | 'policy'>>;

const maxAllowedHosts = 256;
const maxFields = 64;

export const secretKind: RecordKind<Secret> = {
  type: 'secret',
  shape: {
    id: text(64),
    appId: text(64),
    slug: text(63),
    name: text(1_024),
    description: orNull(text(8_192)),
    template: orNull(text(64)),
    credentialType: oneOf(credentialTypes),
    injectionHeader: orNull(text(128)),
    injectionFormat: orNull(text(4_096)),
    injectionRules: listOf(
      objectOf({ target: oneOf(['header', 'query']), name: text(128), format: text(4_096) }),
      maxInjectionRules,
    ),
    fieldNames: listOf(text(64), maxFields),
    accountIdentifier: orNull(text(1_024)),
    accountDisplayName: orNull(text(1_024)),
    allowedHosts: listOf(text(270), maxAllowedHosts),
    allowGroupDelegation: truth,
    maxDelegationTtlDays: whole,
    policy: orNull(document(maxPolicyBytes)),
    version: whole,
    createdAt: whole,
    updatedAt: whole,
    rotatedAt: orNull(whole),
  },
  absent: { template: null, allowGroupDelegation: false, maxDelegationTtlDays: defaultDelegationTtlDays, policy: null },
  idOf: (secret) => secret.id,
  spaceOf: (secret) => secret.appId,
  tagsOf: (secret, keys) => secret.allowedHosts.map((pattern) => hostTag(keys, pattern)),
  namesOf: (secret, keys) => [slugName(keys, secret.slug)],
};

/** What a secret is found by when a host is known. `pattern` in canonical spelling. */
export function hostTag(keys: SpaceKeys, pattern: string): string {
  return keys.word('allowed-host', pattern);
}

function slugName(keys: SpaceKeys, slug: string): string {
  return keys.word('slug', slug);
}

/** How many slugs are looked up at once when the first ones are taken. */
const slugBatch = 16;
const maxSlugs = 4_096;

export class SecretRepository {
  readonly #records: SealedRecords<Secret>;
  readonly #grants: GrantRepository;
  readonly #keys: SpaceKeys;
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; grants: GrantRepository; clock: () => number }) {
    this.#records = new SealedRecords({ kind: secretKind, keys: of.keys, store: of.store });
    this.#grants = of.grants;
    this.#keys = of.keys;
    this.#store = of.store;
    this.#clock = of.clock;
  }

  /**
   * The secret, its first version and its base grant (to `system`), in one commit. The slug comes from the name, with -2,
   * -3… only where it is taken. Throws `validation_failed`.
   */
  async create(of: {
    readonly draft: SecretDraft;
    readonly fields: SecretValue;
    readonly baseGrantLabel: string;
  }): Promise<{ readonly secret: Versioned<Secret>; readonly grant: Versioned<Grant> }> {
    const { draft, fields } = of;
    const now = this.#clock();
    const appId = this.#keys.space;
    const id = issueId(now);
    const grant: Grant = {
      id: issueId(now),
      appId,
      secretId: id,
      principal: { type: 'system' },
      label: of.baseGrantLabel,
      description: null,
      policy: null,
      expiresAt: null,
      createdAt: now,
      revokedAt: null,
    };
    const version = sealVersion(this.#keys, { secretId: id, version: 1, fields, now });
    const alongside = [
      sealRecord(secretVersionKind, this.#keys, version, 0),
      sealRecord(grantKind, this.#keys, grant, 0),
    ];

    for await (const slug of this.#freeSlugs(slugify(draft.name))) {
      const secret: Secret = {
        id,
        appId,
        slug,
        name: draft.name,
        description: draft.description,
        template: draft.template ?? null,
        credentialType: draft.credentialType,
        injectionHeader: draft.injectionHeader,
        injectionFormat: draft.injectionFormat,
        injectionRules: draft.injectionRules,
        fieldNames: fields.fieldNames,
        accountIdentifier: draft.accountIdentifier,
        accountDisplayName: draft.accountDisplayName,
        allowedHosts: canonicalHosts(draft.allowedHosts),
        allowGroupDelegation: draft.allowGroupDelegation ?? false,
        maxDelegationTtlDays: draft.maxDelegationTtlDays ?? defaultDelegationTtlDays,
        policy: draft.policy ?? null,
        version: 1,
        createdAt: now,
        updatedAt: now,
        rotatedAt: null,
      };
      try {
        await this.#store.commit(appId, [sealRecord(secretKind, this.#keys, secret, 0), ...alongside]);
        return { secret: { value: secret, revision: 1 }, grant: { value: grant, revision: 1 } };
      } catch (error) {
        if (!(error instanceof NameTaken)) throw fromStoreFailure(error); // else: taken since we looked
      }
    }
    throw new AlterError('conflict', { detail: `Too many secrets of this app are called ${slugify(draft.name)}.` });
  }

  /** Throws `not_found`. */
  async get(idOrSlug: string): Promise<Versioned<Secret>> {
    const byId = isId(idOrSlug) ? await this.#records.find(idOrSlug) : null;
    const found =
      byId ?? (await this.#records.findByName(slugName(this.#keys, idOrSlug), (secret) => secret.slug === idOrSlug));
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such secret in this app.' });
    return found;
  }

  /** In the order of the ids; null where there is none. */
  async findAll(ids: readonly string[]): Promise<(Secret | null)[]> {
    return (await this.#records.findAll(ids)).map((found) => found?.value ?? null);
  }

  list(query: PageQuery): Promise<Page<Secret>> {
    return this.#records.list(query);
  }

  /**
   * `change` may be called again where somebody else was faster; with `expectedRevision` that is a `revision_conflict`
   * instead. It can't change the id, slug, version or times. Throws `not_found`, `validation_failed`.
   */
  update(id: string, change: (secret: Secret) => Secret, expectedRevision?: number): Promise<Versioned<Secret>> {
    return this.#records.update(
      id,
      (secret) => {
        const changed = change(secret);
        if (changed === secret) return secret;
        const { appId, slug, fieldNames, version, createdAt, rotatedAt } = secret;
        const allowedHosts = canonicalHosts(changed.allowedHosts);
        const updatedAt = this.#clock();
        return { ...changed, id, appId, slug, fieldNames, version, createdAt, rotatedAt, allowedHosts, updatedAt };
      },
      expectedRevision,
    );
  }

  /** Stores a new value as the next version; grants keep working. Throws `not_found`, `revision_conflict`. */
  rotate(id: string, fields: SecretValue, expectedRevision?: number): Promise<Versioned<Secret>> {
    const now = this.#clock();
    return this.#records.update(
      id,
      (secret) => ({
        ...secret,
        fieldNames: fields.fieldNames,
        version: secret.version + 1,
        updatedAt: now,
        rotatedAt: now,
      }),
      expectedRevision,
      async (next) => {
        const version = sealVersion(this.#keys, { secretId: id, version: next.version, fields, now });
        // The version before stays for the requests that are under way; the one before that has had its time.
        const outdated = { type: secretVersionKind.type, id: versionId(id, next.version - 2) };
        const [stored] = await this.#store.get(this.#keys.space, [outdated]);
        return [
          sealRecord(secretVersionKind, this.#keys, version, 0),
          ...(stored ? [{ kind: 'delete' as const, ...outdated, expectedRevision: stored.revision }] : []),
        ];
      },
    );
  }

  /** Revokes its grants, then removes the secret with all its versions. Throws `not_found`, `revision_conflict`. */
  async delete(id: string, expectedRevision?: number): Promise<void> {
    const { revision } = await this.#records.get(id);
    if (expectedRevision !== undefined && revision !== expectedRevision) throw new AlterError('revision_conflict');
    // Many grants do not fit into one commit. Should this stop half-way, the secret still stands and can be deleted again.
    await this.#grants.revokeAllOf(id);
    await this.#remove(id, expectedRevision);
    await this.#grants.revokeAllOf(id); // those that were made meanwhile; without a secret they were good for nothing
  }

  async #remove(id: string, expectedRevision: number | undefined): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { revision } = await this.#records.get(id);
      if (expectedRevision !== undefined && revision !== expectedRevision) throw new AlterError('revision_conflict');
      const tags = [versionTag(this.#keys, id)];
      const versions = (await asked(this.#store.findByTags(this.#keys.space, tags, 100))).filter(
        (key) => key.type === secretVersionKind.type,
      );
      const stored = await asked(this.#store.get(this.#keys.space, versions));
      const changes: Change[] = [{ kind: 'delete', type: secretKind.type, id, expectedRevision: revision }];
      for (const record of stored) {
        if (record === null) continue;
        changes.push({ kind: 'delete', type: record.type, id: record.id, expectedRevision: record.revision });
      }
      try {
        await this.#store.commit(this.#keys.space, changes);
        return;
      } catch (error) {
        const again = error instanceof RevisionConflict && expectedRevision === undefined && attempt < 10;
        if (!again) throw fromStoreFailure(error);
      }
    }
  }

  /** Free ones of `slug`, `slug-2`, `slug-3`…, as long as the caller finds them taken after all. */
  async *#freeSlugs(slug: string): AsyncGenerator<string> {
    for (let first = 1; first < maxSlugs; first += slugBatch) {
      const candidates = Array.from({ length: slugBatch }, (_, index) => slugCandidate(slug, first + index));
      const names = candidates.map((candidate) => slugName(this.#keys, candidate));
      const holders = await asked(this.#store.findByName(this.#keys.space, names));
      for (const [index, candidate] of candidates.entries()) if (holders[index] === null) yield candidate;
    }
  }
}

/** Throws `validation_failed`. */
function canonicalHosts(patterns: readonly string[]): string[] {
  return [...new Set(patterns.map((pattern) => formatHostPattern(parseHostPattern(pattern))))];
}
