import { type Agent, agentStatuses, agentTypes } from '../../core/agent.ts';
import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import type { Store } from '../store/store.ts';
import type { Page, PageQuery, Versioned } from './record.ts';
import { document, maxPolicyBytes, oneOf, orNull, text, textMap, whole } from './record-shape.ts';
import { type RecordKind, SealedRecords } from './sealed-records.ts';

export type AgentDraft = Pick<Agent, 'name' | 'displayName' | 'type' | 'metadata'>;

const nameKind = 'agent-name';

export const agentKind: RecordKind<Agent> = {
  type: 'agent',
  shape: {
    id: text(64),
    appId: text(64),
    name: text(256),
    displayName: orNull(text(1_024)),
    type: oneOf(agentTypes),
    status: oneOf(agentStatuses),
    metadata: textMap({ maxEntries: 64, maxKey: 128, maxValue: 1_024 }),
    policy: orNull(document(maxPolicyBytes)),
    createdAt: whole,
    updatedAt: whole,
  },
  idOf: (agent) => agent.id,
  spaceOf: (agent) => agent.appId,
  namesOf: (agent, keys) => [keys.word(nameKind, agent.name)],
};

export class AgentRepository {
  readonly #records: SealedRecords<Agent>;
  readonly #keys: SpaceKeys;
  readonly #clock: () => number;

  constructor(of: { store: Store; keys: SpaceKeys; clock: () => number }) {
    this.#records = new SealedRecords({ kind: agentKind, keys: of.keys, store: of.store });
    this.#keys = of.keys;
    this.#clock = of.clock;
  }

  /** Throws `conflict` where the name is taken. */
  create(draft: AgentDraft): Promise<Versioned<Agent>> {
    const now = this.#clock();
    const { name, displayName, type, metadata } = draft;
    const appId = this.#keys.space;
    return this.#records.create({
      id: issueId(now),
      appId,
      name,
      displayName,
      type,
      status: 'active',
      metadata,
      policy: null,
      createdAt: now,
      updatedAt: now,
    });
  }

  /** Throws `not_found`. */
  async get(idOrName: string): Promise<Versioned<Agent>> {
    const byId = isId(idOrName) ? await this.#records.find(idOrName) : null;
    const word = this.#keys.word(nameKind, idOrName);
    const found = byId ?? (await this.#records.findByName(word, (agent) => agent.name === idOrName));
    if (found === null) throw new AlterError('not_found', { detail: 'There is no such agent in this app.' });
    return found;
  }

  /** Display name, metadata, policy and status can change, and nothing else; a revoked agent stays revoked. Throws `not_found`. */
  update(id: string, change: (agent: Agent) => Agent, expectedRevision?: number): Promise<Versioned<Agent>> {
    return this.#records.update(
      id,
      (agent) => {
        const changed = change(agent);
        if (changed === agent) return agent;
        const { displayName, metadata, policy } = changed;
        const status = agent.status === 'revoked' ? agent.status : changed.status;
        return { ...agent, displayName, metadata, policy, status, updatedAt: this.#clock() };
      },
      expectedRevision,
    );
  }

  list(query: PageQuery): Promise<Page<Agent>> {
    return this.#records.list(query);
  }
}
