import type { Problem } from '../core/errors.ts';
import type { Principal } from '../core/principal.ts';
import type { AppVault } from '../vault/vault.ts';
import { getProvider } from './identity-providers.ts';
import { requireActive } from './mint-key.ts';

/** To whom a new grant is, as it is asked for. */
export interface AskedPrincipal {
  readonly principal_type: Principal['type'];
  readonly app_user_id?: string | undefined;
  readonly idp_id?: string | undefined;
  readonly external_group_id?: string | undefined;
  readonly agent_id?: string | undefined;
}

type Field = Exclude<keyof AskedPrincipal, 'principal_type'>;

const fieldsOf: Readonly<Record<Principal['type'], readonly Field[]>> = {
  system: [],
  user: ['app_user_id'],
  group: ['idp_id', 'external_group_id'],
  agent: ['agent_id'],
};

/** Each type of principal is named by fields of its own; those of another type would be a mistake that nobody hears of. */
export function checkPrincipal(body: Partial<AskedPrincipal>): Problem[] {
  const type = body.principal_type;
  if (type === undefined) return [];
  return Object.values(fieldsOf)
    .flat()
    .flatMap((field) => {
      const isWanted = fieldsOf[type].includes(field);
      if (isWanted === (body[field] !== undefined)) return [];
      return [{ field, message: `is ${isWanted ? 'needed' : 'not used'} for a grant to principal_type ${type}` }];
    });
}

/**
 * Of what {@link checkPrincipal} found no fault with. Throws `not_found` where the app has no such user, identity provider
 * or agent, `conflict` for an agent on its way out.
 */
export async function findPrincipal(app: AppVault, body: AskedPrincipal): Promise<Principal> {
  switch (body.principal_type) {
    case 'system':
      return { type: 'system' };
    case 'user':
      return { type: 'user', appUserId: (await app.users.get(body.app_user_id!)).value.id };
    case 'group': {
      const { value: provider } = await getProvider(app, body.idp_id!);
      return { type: 'group', idpId: provider.id, externalGroupId: body.external_group_id! };
    }
    case 'agent': {
      const { value: agent } = await app.agents.get(body.agent_id!);
      requireActive(agent);
      return { type: 'agent', agentId: agent.id };
    }
  }
}
