import type { Command } from '@oclif/core';

type Entry = readonly [summary: string, load: () => Promise<{ readonly default: typeof Command }>];

/**
 * Every command under its path: what it does, and where it is. This table is all that help and completion of words need, so
 * that a command line loads its own command and no other.
 */
export const commandTable: Readonly<Record<string, Entry>> = {
  'agents:create': [
    'Create an agent: something that works by itself, with keys and grants of its own.',
    () => import('./commands/agents/create.ts'),
  ],
  'agents:deprecate': [
    'Let an agent run out: it keeps working, and gets no new keys or grants.',
    () => import('./commands/agents/deprecate.ts'),
  ],
  'agents:keys': ['List the keys of an agent.', () => import('./commands/agents/keys.ts')],
  'agents:list': ['List the agents of the app.', () => import('./commands/agents/list.ts')],
  'agents:revoke': [
    'Revoke an agent for good, with all its keys and delegations.',
    () => import('./commands/agents/revoke.ts'),
  ],
  'agents:show': ['Show one agent.', () => import('./commands/agents/show.ts')],
  'agents:update': ['Change the display name or the notes of an agent.', () => import('./commands/agents/update.ts')],
  'apps:archive': ['Take an app out of use, until it is taken back.', () => import('./commands/apps/archive.ts')],
  'apps:create': ['Create an app.', () => import('./commands/apps/create.ts')],
  'apps:delete': [
    'Delete an app for good, with everything in it and its audit.',
    () => import('./commands/apps/delete.ts'),
  ],
  'apps:list': ['List the apps.', () => import('./commands/apps/list.ts')],
  'apps:show': ['Show one app.', () => import('./commands/apps/show.ts')],
  'apps:unarchive': ['Take an archived app back into use, as it was.', () => import('./commands/apps/unarchive.ts')],
  'apps:update': [
    'Change the name of an app, or what its traffic without a grant gets.',
    () => import('./commands/apps/update.ts'),
  ],
  'apps:sidecar-credentials': [
    'Print what a sidecar of an app needs: the key of the app, and a user of the store limited to it.',
    () => import('./commands/apps/sidecar-credentials.ts'),
  ],
  'audit:export': [
    'Write the whole audit to standard output, the oldest event first.',
    () => import('./commands/audit/export.ts'),
  ],
  'audit:list': ['List audit events, the newest first.', () => import('./commands/audit/list.ts')],
  'audit:retention:set': [
    'Say how much of the audit is kept; what is left out is without a limit.',
    () => import('./commands/audit/retention/set.ts'),
  ],
  'audit:retention:show': [
    'How much of the audit is kept, how far it was exported, and what was removed.',
    () => import('./commands/audit/retention/show.ts'),
  ],
  'audit:show': ['Show one audit event, by its id.', () => import('./commands/audit/show.ts')],
  'audit:tail': [
    'Print the newest audit events, a line each, and with -f every one that follows.',
    () => import('./commands/audit/tail.ts'),
  ],
  'audit:verify': [
    'Prove that no audit event was changed, removed, added or moved.',
    () => import('./commands/audit/verify.ts'),
  ],
  'auth:login': [
    'Sign in: keep a personal access token for the commands that follow.',
    () => import('./commands/auth/login.ts'),
  ],
  'auth:logout': [
    'Forget the token that "alter auth login" keeps. It stays valid until it is revoked.',
    () => import('./commands/auth/logout.ts'),
  ],
  'auth:status': ['Show which token is used, and what it may do.', () => import('./commands/auth/status.ts')],
  'backup:create': [
    'Write a backup of everything but the audit, all of it sealed.',
    () => import('./commands/backup/create.ts'),
  ],
  'backup:restore': [
    'Restore a backup: add what the store does not have.',
    () => import('./commands/backup/restore.ts'),
  ],
  'backup:verify': ['Prove that a backup is whole and can be opened.', () => import('./commands/backup/verify.ts')],
  'ca:bundle': [
    "Print the system's roots and the proxy's authority as one PEM bundle.",
    () => import('./commands/ca/bundle.ts'),
  ],
  'ca:rotate': [
    'Replace the authority that workloads have to trust, with time for them to learn of it.',
    () => import('./commands/ca/rotate.ts'),
  ],
  'ca:show': [
    'Show the certificate of the authority that workloads have to trust.',
    () => import('./commands/ca/show.ts'),
  ],
  completion: ['Print a script for the completion of a shell.', () => import('./commands/completion.ts')],
  'delegations:list': ['List what users lent to agents.', () => import('./commands/delegations/list.ts')],
  'delegations:revoke': [
    'Revoke a delegation: the agent can use the secret no longer in the name of the user.',
    () => import('./commands/delegations/revoke.ts'),
  ],
  'delegations:show': ['Show one delegation.', () => import('./commands/delegations/show.ts')],
  doctor: [
    'Find out what works: the service, the proxy, the key, and each client on this machine.',
    () => import('./commands/doctor.ts'),
  ],
  env: ['Print what `alter run` sets, as exports for a shell.', () => import('./commands/env.ts')],
  'grants:explain': [
    'Say whether a request with a grant would be let through, and which rule decides.',
    () => import('./commands/grants/explain.ts'),
  ],
  'grants:list': ['List the grants of the app.', () => import('./commands/grants/list.ts')],
  'grants:show': ['Show one grant.', () => import('./commands/grants/show.ts')],
  'groups:create': [
    'Create a group before a token names it, so that it can be granted something.',
    () => import('./commands/groups/create.ts'),
  ],
  'groups:list': ['List the groups that are known.', () => import('./commands/groups/list.ts')],
  'groups:members:add': ['Put a user into a group.', () => import('./commands/groups/members/add.ts')],
  'groups:members:remove': [
    'Take a user out of a group that they were put into here.',
    () => import('./commands/groups/members/remove.ts'),
  ],
  'groups:show': ['Show a group, with its members and its grants.', () => import('./commands/groups/show.ts')],
  'identity-providers:create': [
    'Trust the tokens of an identity provider to say who a user is.',
    () => import('./commands/identity-providers/create.ts'),
  ],
  'identity-providers:delete': [
    'Trust an identity provider no longer.',
    () => import('./commands/identity-providers/delete.ts'),
  ],
  'identity-providers:list': [
    'List the identity providers that the app trusts.',
    () => import('./commands/identity-providers/list.ts'),
  ],
  'identity-providers:show': ['Show one identity provider.', () => import('./commands/identity-providers/show.ts')],
  'identity-providers:update': [
    'Change an identity provider. Its issuer and claims stand fast once it has users.',
    () => import('./commands/identity-providers/update.ts'),
  ],
  'keys:list': ['List the keys of the app.', () => import('./commands/keys/list.ts')],
  'keys:mint': ['Make a new key and print it, once.', () => import('./commands/keys/mint.ts')],
  'keys:rename': ['Give a key another name.', () => import('./commands/keys/rename.ts')],
  'keys:revoke': [
    'Revoke a key, with those derived from it: the proxy refuses them from now on.',
    () => import('./commands/keys/revoke.ts'),
  ],
  'keys:rotate': [
    'Make a key in the place of another one and print it, once.',
    () => import('./commands/keys/rotate.ts'),
  ],
  'keys:show': ['Show one key, without its secret part.', () => import('./commands/keys/show.ts')],
  'keys:statistics': ['Count the keys of the app.', () => import('./commands/keys/statistics.ts')],
  link: ['Choose the app for this directory and all below it.', () => import('./commands/link.ts')],
  'managed-secrets:access': [
    'Show everybody who can reach a secret, and by which grants.',
    () => import('./commands/managed-secrets/access.ts'),
  ],
  'managed-secrets:create': [
    'Store a credential, together with a first grant for it.',
    () => import('./commands/managed-secrets/create.ts'),
  ],
  'managed-secrets:delete': [
    'Delete a secret for good, with its value and its grants.',
    () => import('./commands/managed-secrets/delete.ts'),
  ],
  'managed-secrets:grants:clone': [
    'Grant the same once more, with another end.',
    () => import('./commands/managed-secrets/grants/clone.ts'),
  ],
  'managed-secrets:grants:create': [
    'Let a principal use a secret.',
    () => import('./commands/managed-secrets/grants/create.ts'),
  ],
  'managed-secrets:grants:list': [
    'List the grants of a secret.',
    () => import('./commands/managed-secrets/grants/list.ts'),
  ],
  'managed-secrets:grants:list-for-agent': [
    'List the grants to an agent, over all secrets.',
    () => import('./commands/managed-secrets/grants/list-for-agent.ts'),
  ],
  'managed-secrets:grants:revoke': [
    'Revoke a grant: its next request is refused, on open connections too.',
    () => import('./commands/managed-secrets/grants/revoke.ts'),
  ],
  'managed-secrets:grants:update': [
    'Change the label, description, end or policy of a grant.',
    () => import('./commands/managed-secrets/grants/update.ts'),
  ],
  'managed-secrets:groups:list': [
    'List the groups of users that can be granted something.',
    () => import('./commands/managed-secrets/groups/list.ts'),
  ],
  'managed-secrets:groups:show': [
    'Show one group, with its members and its grants.',
    () => import('./commands/managed-secrets/groups/show.ts'),
  ],
  'managed-secrets:list': ['List the secrets of the app.', () => import('./commands/managed-secrets/list.ts')],
  'managed-secrets:rotate': [
    'Replace the value of a secret. Its grants stay.',
    () => import('./commands/managed-secrets/rotate.ts'),
  ],
  'managed-secrets:set-allowed-hosts': [
    'Say which hosts may receive a secret. The list replaces the one before.',
    () => import('./commands/managed-secrets/set-allowed-hosts.ts'),
  ],
  'managed-secrets:set-delegation-policy': [
    'Say how the grants of a secret may be lent to agents.',
    () => import('./commands/managed-secrets/set-delegation-policy.ts'),
  ],
  'managed-secrets:show': ['Show one secret, never its value.', () => import('./commands/managed-secrets/show.ts')],
  'managed-secrets:templates': [
    'List the providers that a secret can be pre-filled for.',
    () => import('./commands/managed-secrets/templates.ts'),
  ],
  'managed-secrets:users': [
    'List the users of the app that can be granted something.',
    () => import('./commands/managed-secrets/users.ts'),
  ],
  'policy:set': [
    'Replace a policy: of the app, or of a secret, an agent or a grant.',
    () => import('./commands/policy/set.ts'),
  ],
  'policy:show': [
    'Show a policy: of the app, or of a secret, an agent or a grant.',
    () => import('./commands/policy/show.ts'),
  ],
  'root-key:rewrap': [
    'Wrap the keys of all apps with the root key of now, after it was replaced.',
    () => import('./commands/root-key/rewrap.ts'),
  ],
  'root-key:status': [
    'Show which root key wraps the keys of the apps, and whether one of before is still needed.',
    () => import('./commands/root-key/status.ts'),
  ],
  ready: ['Tell by the exit code whether the service here takes requests.', () => import('./commands/ready.ts')],
  run: ['Run a command whose traffic goes through the proxy.', () => import('./commands/run.ts')],
  serve: ['Run the proxy and the admin API.', () => import('./commands/serve.ts')],
  'state:reanchor': [
    'Accept the state that the store has, although a newer one was seen.',
    () => import('./commands/state/reanchor.ts'),
  ],
  'state:show': [
    'Show whether the store has the newest state that was seen.',
    () => import('./commands/state/show.ts'),
  ],
  'tokens:create': ['Make a personal access token and print it, once.', () => import('./commands/tokens/create.ts')],
  'tokens:list': ['List the personal access tokens.', () => import('./commands/tokens/list.ts')],
  'tokens:revoke': [
    'Revoke a personal access token: the admin API refuses it from now on.',
    () => import('./commands/tokens/revoke.ts'),
  ],
  'tokens:show': [
    'Show one personal access token, without its secret part.',
    () => import('./commands/tokens/show.ts'),
  ],
  'users:create': [
    'Create a user before their first token, so that they can be granted something.',
    () => import('./commands/users/create.ts'),
  ],
  'users:list': ['List the users that are known.', () => import('./commands/users/list.ts')],
  'users:show': ['Show one user.', () => import('./commands/users/show.ts')],
  'webhooks:create': [
    'Have audit events of the app posted to an HTTPS endpoint.',
    () => import('./commands/webhooks/create.ts'),
  ],
  'webhooks:delete': ['Send nothing more to an endpoint.', () => import('./commands/webhooks/delete.ts')],
  'webhooks:list': [
    'List where audit events are sent to, and how that goes.',
    () => import('./commands/webhooks/list.ts'),
  ],
  'webhooks:show': ['Show one webhook, without its secret.', () => import('./commands/webhooks/show.ts')],
  'webhooks:test': ['Post a delivery without events to an endpoint now.', () => import('./commands/webhooks/test.ts')],
  'webhooks:update': [
    'Change a webhook, or take it out of use and back.',
    () => import('./commands/webhooks/update.ts'),
  ],
  'workload-identities:create': [
    'Take the token of a Kubernetes ServiceAccount in the place of a key.',
    () => import('./commands/workload-identities/create.ts'),
  ],
  'workload-identities:delete': [
    'Take the tokens of a ServiceAccount no longer.',
    () => import('./commands/workload-identities/delete.ts'),
  ],
  'workload-identities:list': [
    'List the ServiceAccounts whose tokens stand for a key.',
    () => import('./commands/workload-identities/list.ts'),
  ],
  'workload-identities:show': ['Show one workload identity.', () => import('./commands/workload-identities/show.ts')],
};

/** What stands before the commands of a group, and before a group inside it. */
export const topics: Readonly<Record<string, string>> = {
  agents: 'What works by itself, with keys and grants of its own.',
  apps: 'Apps: each owns its secrets, grants and keys.',
  audit: 'The record of what was done and decided.',
  'audit:retention': 'How much of the record is kept.',
  auth: 'The login of this user at the admin service.',
  backup: 'Everything that the store has, sealed, in a file.',
  ca: 'The certificate authority that workloads have to trust.',
  delegations: 'What users lent to agents.',
  grants: 'All grants of the app, and why a request would be refused.',
  groups: 'Groups of users, as an identity provider knows them.',
  'groups:members': 'Who was put into a group here, beside those whom tokens name.',
  'identity-providers': 'Who says which user a request is for.',
  keys: 'Keys with which workloads prove themselves to the proxy.',
  'managed-secrets': 'Stored credentials: written once, never read back.',
  'managed-secrets:grants': 'Who may use a secret.',
  'managed-secrets:groups': 'Groups of users, as an identity provider knows them.',
  policy: 'Rules that restrict a use: of the app, a secret, an agent or a grant.',
  'root-key': 'The key that wraps the keys of all apps, and its rotation.',
  state: 'Whether the store was rolled back, and the way out of it.',
  tokens: 'Personal access tokens: what the people and scripts at the admin API prove themselves with.',
  users: 'People, as an identity provider knows them.',
  webhooks: 'Audit events, sent to an HTTPS endpoint as they happen.',
  'workload-identities': 'Pods of a Kubernetes cluster, known by the token of their ServiceAccount.',
};
