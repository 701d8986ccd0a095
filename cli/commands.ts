import type { Command } from '@oclif/core';
import AgentsCreate from './commands/agents/create.ts';
import AgentsDeprecate from './commands/agents/deprecate.ts';
import AgentsKeys from './commands/agents/keys.ts';
import AgentsList from './commands/agents/list.ts';
import AgentsRevoke from './commands/agents/revoke.ts';
import AgentsShow from './commands/agents/show.ts';
import AgentsUpdate from './commands/agents/update.ts';
import AppsCreate from './commands/apps/create.ts';
import AppsList from './commands/apps/list.ts';
import AppsShow from './commands/apps/show.ts';
import AuditExport from './commands/audit/export.ts';
import AuditList from './commands/audit/list.ts';
import AuditShow from './commands/audit/show.ts';
import AuditTail from './commands/audit/tail.ts';
import AuditVerify from './commands/audit/verify.ts';
import AuthLogin from './commands/auth/login.ts';
import AuthLogout from './commands/auth/logout.ts';
import AuthStatus from './commands/auth/status.ts';
import CaBundle from './commands/ca/bundle.ts';
import CaShow from './commands/ca/show.ts';
import DelegationsList from './commands/delegations/list.ts';
import DelegationsRevoke from './commands/delegations/revoke.ts';
import DelegationsShow from './commands/delegations/show.ts';
import Env from './commands/env.ts';
import AppGrantsExplain from './commands/grants/explain.ts';
import AppGrantsList from './commands/grants/list.ts';
import AppGrantsShow from './commands/grants/show.ts';
import IdentityProvidersCreate from './commands/identity-providers/create.ts';
import IdentityProvidersDelete from './commands/identity-providers/delete.ts';
import IdentityProvidersList from './commands/identity-providers/list.ts';
import IdentityProvidersShow from './commands/identity-providers/show.ts';
import IdentityProvidersUpdate from './commands/identity-providers/update.ts';
import KeysList from './commands/keys/list.ts';
import KeysMint from './commands/keys/mint.ts';
import KeysRename from './commands/keys/rename.ts';
import KeysRevoke from './commands/keys/revoke.ts';
import KeysRotate from './commands/keys/rotate.ts';
import KeysShow from './commands/keys/show.ts';
import KeysStatistics from './commands/keys/statistics.ts';
import Link from './commands/link.ts';
import ManagedSecretsAccess from './commands/managed-secrets/access.ts';
import ManagedSecretsCreate from './commands/managed-secrets/create.ts';
import ManagedSecretsDelete from './commands/managed-secrets/delete.ts';
import GrantsCreate from './commands/managed-secrets/grants/create.ts';
import GrantsList from './commands/managed-secrets/grants/list.ts';
import GrantsListForAgent from './commands/managed-secrets/grants/list-for-agent.ts';
import GrantsRevoke from './commands/managed-secrets/grants/revoke.ts';
import GrantsUpdate from './commands/managed-secrets/grants/update.ts';
import GroupsList from './commands/managed-secrets/groups/list.ts';
import GroupsShow from './commands/managed-secrets/groups/show.ts';
import ManagedSecretsList from './commands/managed-secrets/list.ts';
import ManagedSecretsRotate from './commands/managed-secrets/rotate.ts';
import ManagedSecretsSetAllowedHosts from './commands/managed-secrets/set-allowed-hosts.ts';
import ManagedSecretsSetDelegationPolicy from './commands/managed-secrets/set-delegation-policy.ts';
import ManagedSecretsShow from './commands/managed-secrets/show.ts';
import ManagedSecretsTemplates from './commands/managed-secrets/templates.ts';
import ManagedSecretsUsers from './commands/managed-secrets/users.ts';
import PolicySet from './commands/policy/set.ts';
import PolicyShow from './commands/policy/show.ts';
import Run from './commands/run.ts';
import Serve from './commands/serve.ts';
import TokensCreate from './commands/tokens/create.ts';
import TokensList from './commands/tokens/list.ts';
import TokensRevoke from './commands/tokens/revoke.ts';
import TokensShow from './commands/tokens/show.ts';

/** Every command under its path. A command parses, calls the admin API and prints; what is heavy it imports when it runs. */
export const commands = {
  'agents:create': AgentsCreate,
  'agents:deprecate': AgentsDeprecate,
  'agents:keys': AgentsKeys,
  'agents:list': AgentsList,
  'agents:revoke': AgentsRevoke,
  'agents:show': AgentsShow,
  'agents:update': AgentsUpdate,
  'apps:create': AppsCreate,
  'apps:list': AppsList,
  'apps:show': AppsShow,
  'audit:export': AuditExport,
  'audit:list': AuditList,
  'audit:show': AuditShow,
  'audit:tail': AuditTail,
  'audit:verify': AuditVerify,
  'auth:login': AuthLogin,
  'auth:logout': AuthLogout,
  'auth:status': AuthStatus,
  'ca:bundle': CaBundle,
  'ca:show': CaShow,
  'delegations:list': DelegationsList,
  'delegations:revoke': DelegationsRevoke,
  'delegations:show': DelegationsShow,
  env: Env,
  'grants:explain': AppGrantsExplain,
  'grants:list': AppGrantsList,
  'grants:show': AppGrantsShow,
  'identity-providers:create': IdentityProvidersCreate,
  'identity-providers:delete': IdentityProvidersDelete,
  'identity-providers:list': IdentityProvidersList,
  'identity-providers:show': IdentityProvidersShow,
  'identity-providers:update': IdentityProvidersUpdate,
  'keys:list': KeysList,
  'keys:mint': KeysMint,
  'keys:rename': KeysRename,
  'keys:revoke': KeysRevoke,
  'keys:rotate': KeysRotate,
  'keys:show': KeysShow,
  'keys:statistics': KeysStatistics,
  link: Link,
  'managed-secrets:access': ManagedSecretsAccess,
  'managed-secrets:create': ManagedSecretsCreate,
  'managed-secrets:delete': ManagedSecretsDelete,
  'managed-secrets:grants:create': GrantsCreate,
  'managed-secrets:grants:list': GrantsList,
  'managed-secrets:grants:list-for-agent': GrantsListForAgent,
  'managed-secrets:grants:revoke': GrantsRevoke,
  'managed-secrets:grants:update': GrantsUpdate,
  'managed-secrets:groups:list': GroupsList,
  'managed-secrets:groups:show': GroupsShow,
  'managed-secrets:list': ManagedSecretsList,
  'managed-secrets:rotate': ManagedSecretsRotate,
  'managed-secrets:set-allowed-hosts': ManagedSecretsSetAllowedHosts,
  'managed-secrets:set-delegation-policy': ManagedSecretsSetDelegationPolicy,
  'managed-secrets:show': ManagedSecretsShow,
  'managed-secrets:templates': ManagedSecretsTemplates,
  'managed-secrets:users': ManagedSecretsUsers,
  'policy:set': PolicySet,
  'policy:show': PolicyShow,
  run: Run,
  serve: Serve,
  'tokens:create': TokensCreate,
  'tokens:list': TokensList,
  'tokens:revoke': TokensRevoke,
  'tokens:show': TokensShow,
} satisfies Record<string, typeof Command>;
