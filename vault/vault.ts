import { AlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { AuditReader } from './audit/audit-reader.ts';
import { AuditRetention } from './audit/audit-retention.ts';
import { GuardedStore } from './guard/guarded-store.ts';
import { StateMarks } from './guard/state-marks.ts';
import { appKeyType, Keyring, type SpaceKeyring, type SpaceKeys, systemSpace } from './keys/keyring.ts';
import type { Kms, KmsKeys } from './keys/kms.ts';
import { WrappedKeys } from './keys/wrapped-keys.ts';
import { AccessTokenRepository } from './records/access-token-repository.ts';
import { AgentRepository } from './records/agent-repository.ts';
import { AppRepository } from './records/app-repository.ts';
import { AuthorityRepository } from './records/authority-repository.ts';
import { DelegationRepository } from './records/delegation-repository.ts';
import { GrantRepository } from './records/grant-repository.ts';
import { GroupRepository } from './records/group-repository.ts';
import { IdempotencyRepository } from './records/idempotency-repository.ts';
import { IdentityProviderRepository } from './records/identity-provider-repository.ts';
import { KeyRepository } from './records/key-repository.ts';
import { LastUseRepository } from './records/last-use-repository.ts';
import { LeaseRepository } from './records/lease-repository.ts';
import { SealedRecords } from './records/sealed-records.ts';
import { SecretRepository } from './records/secret-repository.ts';
import { UserRepository } from './records/user-repository.ts';
import { type WebhookOwner, WebhookRepository, webhookOwnerKind } from './records/webhook-repository.ts';
import { WorkloadIdentityRepository } from './records/workload-identity-repository.ts';
import type { Store } from './store/store.ts';
import { asked } from './store/store-failure.ts';

/** The sealed state of one app. */
export interface AppVault {
  readonly appId: string;
  readonly secrets: SecretRepository;
  readonly grants: GrantRepository;
  readonly keys: KeyRepository;
  readonly agents: AgentRepository;
  readonly identityProviders: IdentityProviderRepository;
  readonly workloadIdentities: WorkloadIdentityRepository;
  readonly users: UserRepository;
  readonly groups: GroupRepository;
  readonly delegations: DelegationRepository;
  readonly idempotency: IdempotencyRepository;
  readonly lastUses: LastUseRepository;
  readonly webhooks: WebhookRepository;
  readonly audit: AuditReader;
  readonly auditRetention: AuditRetention;
}

/** What the data plane works on: the sealed state of every app, or of one. */
export interface DataPlaneVault {
  /** For the read model and the audit log, which work on the store directly. */
  readonly store: GuardedStore;
  readonly keyring: SpaceKeyring;
  /** The only app that can be opened here; null: all of them. */
  readonly onlyAppId: string | null;
  /** Throws `not_found`. */
  app(appId: string): Promise<Pick<AppVault, 'users' | 'groups' | 'lastUses'>>;
}

export interface VaultPorts {
  readonly store: Store;
  readonly kms: Kms;
  /** Keys that wrapped before, and are needed until everything is re-wrapped. */
  readonly previousKms?: readonly Kms[];
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** What this process has seen of the state; in memory alone, unless given. */
  readonly marks?: StateMarks;
}

/** Made by {@link openVault}. The owner of the store closes it. */
export class Vault implements DataPlaneVault {
  readonly store: GuardedStore;
  readonly keyring: Keyring;
  readonly clock: () => number;
  /** For the keys of backups. */
  readonly kms: KmsKeys;
  readonly onlyAppId = null;

  readonly apps: AppRepository;
  readonly accessTokens: AccessTokenRepository;
  readonly authority: AuthorityRepository;
  readonly wrappedKeys: WrappedKeys;
  /** Events that belong to no app. */
  readonly audit: AuditReader;
  /** Which apps have webhooks. */
  readonly webhookOwners: Pick<SealedRecords<WebhookOwner>, 'list'>;
  readonly leases: LeaseRepository;
  /** Of what is made in no app. */
  readonly idempotency: IdempotencyRepository;
  /**
   * What the store gives, also where it is older than what was seen of it: to start with, and to say who may accept it.
   */
  readonly unguarded: {
    readonly apps: AppRepository;
    readonly accessTokens: AccessTokenRepository;
    readonly authority: AuthorityRepository;
  };
  readonly #systemKeys: SpaceKeys;

  constructor(of: {
    store: GuardedStore;
    clock: () => number;
    keyring: Keyring;
    systemKeys: SpaceKeys;
    kms: KmsKeys;
  }) {
    this.store = of.store;
    this.kms = of.kms;
    this.keyring = of.keyring;
    this.clock = of.clock;
    this.apps = new AppRepository({ ...of, contents: of.store.unguarded });
    this.accessTokens = new AccessTokenRepository(of);
    this.authority = new AuthorityRepository(of);
    this.wrappedKeys = new WrappedKeys(of);
    this.audit = new AuditReader({ store: of.store, keys: of.systemKeys });
    this.webhookOwners = new SealedRecords({ kind: webhookOwnerKind, keys: of.systemKeys, store: of.store });
    this.leases = new LeaseRepository({ ...of, keys: of.systemKeys });
    this.idempotency = new IdempotencyRepository({ ...of, keys: of.systemKeys });
    this.#systemKeys = of.systemKeys;
    const unguarded = { ...of, store: of.store.unguarded };
    this.unguarded = {
      apps: new AppRepository({ ...unguarded, contents: of.store.unguarded }),
      accessTokens: new AccessTokenRepository(unguarded),
      authority: new AuthorityRepository(unguarded),
    };
  }

  /** Throws `not_found`. */
  async app(appId: string): Promise<AppVault> {
    if (!isId(appId)) throw new AlterError('not_found', { detail: 'There is no such app.' });
    const keys = await this.keyring.of(appId);
    const deps = { store: this.store, keys, clock: this.clock, systemKeys: this.#systemKeys };
    const grants = new GrantRepository(deps);
    return {
      appId,
      grants,
      secrets: new SecretRepository({ ...deps, grants }),
      keys: new KeyRepository(deps),
      agents: new AgentRepository(deps),
      identityProviders: new IdentityProviderRepository(deps),
      workloadIdentities: new WorkloadIdentityRepository(deps),
      users: new UserRepository(deps),
      groups: new GroupRepository(deps),
      delegations: new DelegationRepository(deps),
      idempotency: new IdempotencyRepository(deps),
      lastUses: new LastUseRepository(deps),
      webhooks: new WebhookRepository(deps),
      audit: new AuditReader(deps),
      auditRetention: new AuditRetention(deps),
    };
  }
}

/**
 * Creates the key of the system space on first use. Throws `state_invalid` where the store was written under another root
 * key, `state_rollback` where it is empty and was not before, `state_unavailable` where it can't be reached.
 */
export async function openVault(ports: VaultPorts): Promise<Vault> {
  const { store, clock, marks = new StateMarks() } = ports;
  if (marks.has(systemSpace)) await requireNotEmptied(store, marks);
  const kms: KmsKeys = { current: ports.kms, previous: ports.previousKms ?? [] };
  const keyring = new Keyring({ store, kms });
  const systemKeys = await keyring.openSystem();
  const guarded = new GuardedStore({ store, marks, keysOf: (space) => keyring.of(space) });
  return new Vault({ store: guarded, clock, keyring, systemKeys, kms });
}

/** A new key for the system would make a new state of what is a lost one. */
async function requireNotEmptied(store: Store, marks: StateMarks): Promise<void> {
  const [stored] = await asked(store.get(systemSpace, [{ type: appKeyType, id: systemSpace }]));
  if (stored !== null) return;
  throw new AlterError('state_rollback', {
    detail: `The store is empty, and this machine has seen a state in it (${marks.path}).`,
    hint: 'Put the data of the store back. To begin with an empty store, or to restore a backup into it, move that file away first.',
  });
}
