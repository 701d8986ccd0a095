import { AlterError } from '../core/errors.ts';
import type { Group } from '../core/group.ts';
import { isId } from '../core/id.ts';
import { groupsOf, type User } from '../core/user.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault } from '../vault/vault.ts';
import { representGrants } from './grants.ts';
import { appRoute, type Route } from './http/route.ts';
import { getProvider } from './identity-providers.ts';
import { listMatching } from './list-matching.ts';
import { principalRequests, principalResponses } from './schemas/principal-schemas.ts';
import { formatTime, representPage, representUser } from './schemas/representation.ts';

const collection = '/v1/apps/{app}/groups';
const member = `${collection}/{group}/members/{user}`;
/** Two counts are asked for each group of a page: so many at a time. */
const countedAtOnce = 20;

export const groupRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listGroups',
    summary: 'The groups of users: seen in a token, or created',
    scope: 'dashboard_secrets:read',
    query: principalRequests.listGroups,
    status: 200,
    response: principalResponses.groups,
    async answer({ app, query }) {
      const { limit, offset, idp, search } = query;
      const list = (page: { limit: number; offset: number }) => app.groups.list({ ...page, idpId: idp });
      const { items, total } =
        search === undefined
          ? await list({ limit, offset })
          : await listMatching(list, (group) => isFoundBy(group, search.toLowerCase()), { limit, offset });
      const shown: object[] = [];
      for (let at = 0; at < items.length; at += countedAtOnce) {
        const batch = items.slice(at, at + countedAtOnce);
        shown.push(...(await Promise.all(batch.map(({ value }) => representGroup(app, value)))));
      }
      return { body: representPage(shown, { total, limit, offset }) };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createGroup',
    summary: 'Create a group before a token names it',
    scope: 'dashboard_identity_providers:write',
    body: principalRequests.createGroup,
    status: 201,
    response: principalResponses.group,
    async answer({ app, changes, readBody }) {
      const { idp_id: idp, external_group_id: externalGroupId, name } = readBody();
      const { value: provider } = await getProvider(app, idp);
      const draft = { idpId: provider.id, externalGroupId, name: name ?? externalGroupId };
      const created = await changes.after({
        create: () => app.groups.create(draft),
        event: ({ value }) => ({ event: 'group.created', app_id: value.appId, reason: value.id }),
      });
      return { body: await representGroup(app, created.value), revision: created.revision };
    },
  }),
  appRoute({
    method: 'GET',
    path: `${collection}/{group}`,
    operationId: 'getGroup',
    summary: 'One group, with its members and its grants. Its external id will do where one provider has such a group',
    scope: 'dashboard_secrets:read',
    query: principalRequests.showGroup,
    status: 200,
    response: principalResponses.shownGroup,
    async answer({ app, params, query, now }) {
      const { value: group, revision } = await getGroup(app, params.group!);
      const memberPage = { limit: query.member_limit, offset: query.member_offset };
      const grantPage = { limit: query.grant_limit, offset: query.grant_offset };
      const { idpId, externalGroupId } = group;
      const members = await app.users.list({ ...memberPage, idpId, group: externalGroupId });
      const grants = await app.grants.list({ ...grantPage, principal: { type: 'group', idpId, externalGroupId } });
      const shownMembers = members.items.map(({ value }) => representUser(value));
      const shownGrants = await representGrants(app, grants.items, now);
      return {
        body: {
          ...fieldsOf(group, { members: members.total, grants: grants.total }),
          members: representPage(shownMembers, { total: members.total, ...memberPage }),
          grants: representPage(shownGrants, { total: grants.total, ...grantPage }),
        },
        revision,
      };
    },
  }),
  appRoute({
    method: 'PUT',
    path: member,
    operationId: 'addGroupMember',
    summary: 'Put a user into a group, whatever their tokens say; a member stays one',
    scope: 'dashboard_identity_providers:write',
    status: 200,
    response: principalResponses.user,
    async answer({ app, changes, params }) {
      const { value: group } = await getGroup(app, params.group!);
      const { value: user } = await app.users.get(params.user!);
      if (user.idpId !== group.idpId)
        throw new AlterError('conflict', {
          detail: 'The user and the group are of two identity providers.',
          hint: 'Grant the secret to the user, or create a group of the provider that the user is of.',
        });
      return answerUser(
        await changes.before(memberEvent('group.member_added', group, user), () =>
          app.users.addTo(user.id, group.externalGroupId),
        ),
      );
    },
  }),
  appRoute({
    method: 'DELETE',
    path: member,
    operationId: 'removeGroupMember',
    summary:
      'Take a user out of a group that an operator put them into; a membership that tokens name is not ours to end',
    scope: 'dashboard_identity_providers:write',
    whileArchived: true,
    status: 200,
    response: principalResponses.user,
    async answer({ app, changes, params }) {
      const { value: group } = await getGroup(app, params.group!);
      const { value: user } = await app.users.get(params.user!);
      if (user.idpId !== group.idpId || !groupsOf(user).includes(group.externalGroupId))
        throw new AlterError('not_found', { detail: 'The user is not in this group.' });
      if (!user.addedGroups.includes(group.externalGroupId))
        throw new AlterError('conflict', {
          detail: 'The user is in this group because their token says so.',
          hint: 'Take them out of it at the identity provider; the next token of theirs says so here.',
        });
      return answerUser(
        await changes.before(memberEvent('group.member_removed', group, user), () =>
          app.users.removeFrom(user.id, group.externalGroupId),
        ),
      );
    },
  }),
];

function answerUser({ value, revision }: Versioned<User>) {
  return { body: representUser(value), revision };
}

function memberEvent(event: 'group.member_added' | 'group.member_removed', group: Group, user: User) {
  return { event, app_id: group.appId, user_id: user.id, reason: group.id } as const;
}

/** Throws `not_found`, `conflict` where an external id is that of several. */
async function getGroup(app: AppVault, idOrExternalId: string): Promise<Versioned<Group>> {
  if (isId(idOrExternalId)) {
    try {
      return await app.groups.get(idOrExternalId);
    } catch (error) {
      if (!(error instanceof AlterError && error.code === 'not_found')) throw error; // else: a provider may name by UUIDs
    }
  }
  const { items: providers } = await app.identityProviders.list({ limit: 1000, offset: 0 });
  const found: Versioned<Group>[] = [];
  for (const { value } of providers) {
    const group = await app.groups.find({ idpId: value.id, externalGroupId: idOrExternalId });
    if (group !== null) found.push(group);
  }
  if (found.length > 1)
    throw new AlterError('conflict', {
      detail: 'Several identity providers have a group of this external id.',
      hint: `Name one by its id: ${found.map(({ value }) => value.id).join(', ')}.`,
    });
  if (found[0] === undefined) throw new AlterError('not_found', { detail: 'There is no such group in this app.' });
  return found[0];
}

async function representGroup(app: AppVault, group: Group) {
  const { idpId, externalGroupId } = group;
  const one = { limit: 1, offset: 0 };
  const [members, grants] = await Promise.all([
    app.users.list({ ...one, idpId, group: externalGroupId }),
    app.grants.list({ ...one, principal: { type: 'group', idpId, externalGroupId } }),
  ]);
  return fieldsOf(group, { members: members.total, grants: grants.total });
}

function fieldsOf(group: Group, counts: { readonly members: number; readonly grants: number }) {
  return {
    id: group.id,
    idp_id: group.idpId,
    external_group_id: group.externalGroupId,
    name: group.name,
    member_count: counts.members,
    grant_count: counts.grants,
    created_at: formatTime(group.createdAt),
  };
}

function isFoundBy({ externalGroupId, name }: Group, words: string): boolean {
  return [externalGroupId, name].some((text) => text.toLowerCase().includes(words));
}
