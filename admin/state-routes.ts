import { z } from 'zod';
import { AlterError, toAlterError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { systemSpace } from '../vault/keys/keyring.ts';
import type { Vault } from '../vault/vault.ts';
import { type Route, route } from './http/route.ts';
import { representPage } from './schemas/representation.ts';
import { listOf, requests } from './schemas/schemas.ts';

/** Below it a token is looked up also in a state that is refused: somebody has to be able to accept it. */
export const statePath = '/v1/state';

const appId = z.string().nullable().meta({ description: 'Null: what belongs to no app' });
const spaceState = z
  .strictObject({
    app_id: appId,
    name: z.string(),
    status: z.enum(['current', 'rolled_back']),
    detail: z.string().nullable(),
  })
  .meta({ id: 'SpaceState' });

export const stateRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: statePath,
    operationId: 'listState',
    summary: 'Whether the store has the newest state that this service has seen, for each app and what belongs to none',
    scope: 'dashboard_apps:read',
    query: requests.page,
    status: 200,
    response: listOf(spaceState),
    async answer({ vault, query, accessToken }) {
      const { limit, offset } = query;
      const known = await listSpaces(vault, accessToken.appId, { limit, offset });
      const items: z.output<typeof spaceState>[] = [];
      for (const { id, name } of known.spaces)
        items.push({ app_id: id === systemSpace ? null : id, name, ...(await statusOf(vault, id)) });
      return { body: representPage(items, { total: known.total, limit, offset }) };
    },
  }),
  route({
    method: 'POST',
    path: `${statePath}/reanchor`,
    operationId: 'reanchorState',
    summary: 'Accept the state that the store has for an app, although a newer one was seen; every proxy follows',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({ app_id: z.string().refine(isId, 'must be an id').nullable() }),
    status: 200,
    response: z.strictObject({ app_id: appId, era: z.number().int() }).meta({ id: 'ReanchoredState' }),
    async answer({ vault, accessToken, changes, now, readBody }) {
      const { app_id } = readBody();
      if (accessToken.appId !== null && accessToken.appId !== app_id) throw new AlterError('not_found');
      if (app_id !== null) await vault.keyring.of(app_id);
      const era = await changes.before({ event: 'state.reanchored', app_id }, () =>
        vault.store.reanchor(app_id ?? systemSpace, now),
      );
      return { body: { app_id, era } };
    },
  }),
];

interface Space {
  readonly id: string;
  readonly name: string;
}

/** As the store has them: which apps there are is what a state that is refused says too. What belongs to none comes first. */
async function listSpaces(
  vault: Vault,
  onlyApp: string | null,
  { limit, offset }: { readonly limit: number; readonly offset: number },
): Promise<{ readonly spaces: readonly Space[]; readonly total: number }> {
  const { apps } = vault.unguarded;
  if (onlyApp !== null) return { spaces: [(await apps.get(onlyApp)).value].slice(offset, offset + limit), total: 1 };
  const first = offset === 0 ? [{ id: systemSpace, name: systemSpace }] : [];
  const page = await apps.list({ limit: limit - first.length, offset: Math.max(0, offset - 1) });
  return { spaces: [...first, ...page.items.map(({ value }) => value)], total: page.total + 1 };
}

async function statusOf(vault: Vault, space: string): Promise<Pick<z.output<typeof spaceState>, 'status' | 'detail'>> {
  try {
    await vault.store.look(space);
    return { status: 'current', detail: null };
  } catch (error) {
    const { code, detail } = toAlterError(error);
    if (code === 'state_rollback') return { status: 'rolled_back', detail };
    throw error;
  }
}
