import { delegationEndsAt, findChainBreak } from '../core/delegation.ts';
import { AlterError } from '../core/errors.ts';
import { type Grant, grantStatus } from '../core/grant.ts';
import type { Secret } from '../core/secret.ts';
import type { User } from '../core/user.ts';
import type { Page, PageQuery, Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { appRoute, type Route } from './http/route.ts';
import { type pathKinds, principalResponses } from './schemas/principal-schemas.ts';
import { formatTime } from './schemas/representation.ts';

type PathKind = (typeof pathKinds)[number];

interface Path {
  readonly kind: PathKind;
  readonly grant_id: string;
  readonly label: string;
  readonly expires_at: string | null;
  readonly idp_id?: string;
  readonly external_group_id?: string;
  readonly delegation_id?: string;
  readonly user_id?: string;
}

interface Reached {
  readonly type: 'user' | 'group' | 'system' | 'agent';
  readonly id: string | null;
  readonly display: string;
}

const pageSize = 500;
/** Of grants, of members of one group and of delegations of one grant: more are counted nowhere, and `truncated` says so. */
const maxListed = 5_000;

export const accessRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: '/v1/apps/{app}/managed-secrets/{secret}/access',
    operationId: 'getAccess',
    summary: 'Every principal that can reach a secret now, and by which paths',
    scope: 'dashboard_secrets:read',
    status: 200,
    response: principalResponses.access,
    async answer({ app, params, now }) {
      const { value: secret } = await app.secrets.get(params.secret!);
      const report = new AccessReport(app, secret, now);
      await report.collect();
      return { body: report.document() };
    },
  }),
];

/** Collects who can reach a secret, as the data plane would decide it, policies aside. */
class AccessReport {
  readonly #app: AppVault;
  readonly #secret: Secret;
  readonly #now: number;
  readonly #entries = new Map<string, { readonly principal: Reached; readonly paths: Path[] }>();
  readonly #providers = new Set<string>();
  #truncated = false;

  constructor(app: AppVault, secret: Secret, now: number) {
    this.#app = app;
    this.#secret = secret;
    this.#now = now;
  }

  async collect(): Promise<void> {
    const { items: providers } = await this.#app.identityProviders.list({ limit: 1000, offset: 0 });
    for (const { value } of providers) this.#providers.add(value.id);
    const secretId = this.#secret.id;
    const grants = await this.#all((page) => this.#app.grants.list({ ...page, secretId }));
    for (const grant of grants) if (grantStatus(grant, this.#now) === 'active') await this.#addGrant(grant);
  }

  document(): object {
    const entries = [...this.#entries.values()].map(({ principal, paths }) => ({
      principal,
      paths,
      path_count: paths.length,
    }));
    const counts: Record<PathKind, number> = { direct: 0, group: 0, system: 0, agent: 0, delegation: 0 };
    for (const { paths } of entries) for (const { kind } of paths) counts[kind] += 1;
    const { id, slug, name } = this.#secret;
    return { secret: { id, slug, name }, entries, counts, truncated: this.#truncated };
  }

  async #addGrant(grant: Grant): Promise<void> {
    const { principal } = grant;
    const end = grant.expiresAt === null ? null : formatTime(grant.expiresAt);
    const path = { grant_id: grant.id, label: grant.label, expires_at: end };
    switch (principal.type) {
      case 'system':
        this.#add({ type: 'system', id: null, display: 'every runtime key of the app' }, { kind: 'system', ...path });
        return;
      case 'agent': {
        const { value: agent } = await this.#app.agents.get(principal.agentId);
        if (agent.status === 'revoked') return;
        this.#add(
          { type: 'agent', id: agent.id, display: agent.displayName ?? agent.name },
          { kind: 'agent', ...path },
        );
        return;
      }
      case 'user': {
        const user = await this.#findUser(principal.appUserId);
        if (user === null) return;
        this.#add(asReached(user), { kind: 'direct', ...path });
        break;
      }
      case 'group': {
        const { idpId, externalGroupId } = principal;
        if (!this.#providers.has(idpId)) return;
        const found = await this.#app.groups.find({ idpId, externalGroupId });
        const through = { kind: 'group', ...path, idp_id: idpId, external_group_id: externalGroupId } as const;
        const display = found?.value.name ?? externalGroupId;
        this.#add({ type: 'group', id: found?.value.id ?? null, display }, through);
        const members = await this.#all((page) => this.#app.users.list({ ...page, idpId, group: externalGroupId }));
        for (const user of members) this.#add(asReached(user), through);
        break;
      }
    }
    await this.#addDelegations(grant);
  }

  async #addDelegations(grant: Grant): Promise<void> {
    const delegations = await this.#all((page) => this.#app.delegations.list({ ...page, sourceGrantId: grant.id }));
    for (const delegation of delegations) {
      const { agentId } = delegation;
      const user = await this.#findUser(delegation.userId);
      if (findChainBreak({ delegation, user }, { grant, secret: this.#secret, agentId }, this.#now) !== null) continue;
      const { value: agent } = await this.#app.agents.get(agentId);
      if (agent.status === 'revoked') continue;
      const end = Math.min(delegationEndsAt(delegation, this.#secret), grant.expiresAt ?? Number.POSITIVE_INFINITY);
      this.#add(
        { type: 'agent', id: agent.id, display: agent.displayName ?? agent.name },
        {
          kind: 'delegation',
          grant_id: grant.id,
          label: grant.label,
          expires_at: formatTime(end),
          delegation_id: delegation.id,
          user_id: delegation.userId,
        },
      );
    }
  }

  #add(principal: Reached, path: Path): void {
    const key = JSON.stringify([principal.type, principal.id, principal.id === null ? principal.display : null]);
    const entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, { principal, paths: [path] });
    else entry.paths.push(path);
  }

  /** Null where the user, or the identity provider that vouches for them, is gone. */
  async #findUser(id: string): Promise<User | null> {
    try {
      const { value } = await this.#app.users.get(id);
      return this.#providers.has(value.idpId) ? value : null;
    } catch (error) {
      if (error instanceof AlterError && error.code === 'not_found') return null;
      throw error;
    }
  }

  async #all<T>(list: (query: PageQuery) => Promise<Page<T>>): Promise<T[]> {
    const found: Versioned<T>[] = [];
    for (let offset = 0; offset < maxListed; offset += pageSize) {
      const page = await list({ limit: pageSize, offset });
      found.push(...page.items);
      if (found.length >= page.total || page.items.length === 0) return found.map(({ value }) => value);
    }
    this.#truncated = true;
    return found.map(({ value }) => value);
  }
}

function asReached({ id, name, email, externalId }: User): Reached {
  return { type: 'user', id, display: name ?? email ?? externalId };
}
