import type { Agent } from '../core/agent.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import { type ExplainedRequest, explain } from '../core/explain.ts';
import type { Origin } from '../core/origin.ts';
import { parseAuthority } from '../core/origin.ts';
import type { PolicyLevel } from '../core/policy.ts';
import type { PolicyDocument } from '../core/policy-document.ts';
import { findRestatement } from '../core/restatement.ts';
import type { Versioned } from '../vault/records/record.ts';
import type { AppVault, Vault } from '../vault/vault.ts';
import { changeGrant, findSecret } from './grants.ts';
import { requireRevision } from './http/etag.ts';
import { type AppCall, appRoute, type Route } from './http/route.ts';
import { takeGrantTerms, takePolicy } from './policy-intake.ts';
import type { ChangeEvent, ChangeRecorder } from './record-change.ts';
import { explanation, policyDocument, policyRequests } from './schemas/policy-schemas.ts';
import { formatTime } from './schemas/representation.ts';

type Restricted = Versioned<{ readonly policy: PolicyDocument | null }>;

/** Where a policy can stand: how it is read there, and how it is replaced. */
interface Place {
  readonly level: PolicyLevel;
  readonly path: string;
  readonly operation: string;
  readonly find: (call: Where) => Promise<Restricted>;
  readonly replace: (call: Where, policy: PolicyDocument | null) => Promise<Restricted>;
}

interface Where {
  readonly vault: Vault;
  readonly app: AppVault;
  readonly params: Readonly<Record<string, string>>;
  readonly expectedRevision: number | undefined;
  readonly changes: ChangeRecorder;
  readonly now: number;
}

const ofApp = '/v1/apps/{app}';

const places: readonly Place[] = [
  {
    level: 'app',
    path: ofApp,
    operation: 'App',
    find: ({ vault, app }) => vault.apps.get(app.appId),
    replace: ({ vault, app, changes, expectedRevision }, policy) =>
      changes.before({ event: 'app.updated', app_id: app.appId }, () =>
        vault.apps.update(app.appId, (value) => ({ ...value, policy }), expectedRevision),
      ),
  },
  {
    level: 'secret',
    path: `${ofApp}/managed-secrets/{secret}`,
    operation: 'ManagedSecret',
    find: ({ app, params }) => app.secrets.get(params.secret!),
    async replace({ app, params, changes, expectedRevision }, policy) {
      const { value: secret } = await app.secrets.get(params.secret!);
      const event: ChangeEvent = {
        event: 'secret.updated',
        app_id: app.appId,
        managed_secret_id: secret.id,
        managed_secret_slug: secret.slug,
        secret_version: secret.version,
      };
      return changes.before(event, () =>
        app.secrets.update(secret.id, (value) => ({ ...value, policy }), expectedRevision),
      );
    },
  },
  {
    level: 'agent',
    path: `${ofApp}/agents/{agent}`,
    operation: 'Agent',
    find: ({ app, params }) => app.agents.get(params.agent!),
    async replace({ app, params, changes, expectedRevision }, policy) {
      const { value: agent } = await app.agents.get(params.agent!);
      return changes.before({ event: 'agent.updated', app_id: app.appId, agent_id: agent.id }, () =>
        app.agents.update(agent.id, (value) => ({ ...value, policy }), expectedRevision),
      );
    },
  },
  {
    level: 'grant',
    path: `${ofApp}/grants/{grant}`,
    operation: 'Grant',
    find: ({ app, params }) => app.grants.get(params.grant!),
    replace: (call, policy) =>
      changeGrant(call, (grant) => {
        const { expiresAt } = takeGrantTerms({ grant_policy: policy }, grant, { field: '', now: call.now });
        return { ...grant, policy, expiresAt };
      }),
  },
];

function routesOf({ level, path, operation, find, replace }: Place): Route[] {
  return [
    appRoute({
      method: 'GET',
      path: `${path}/policy`,
      operationId: `getPolicyOf${operation}`,
      summary: `The policy of the ${level}; without a rule where there is none`,
      scope: 'dashboard_policy:read',
      status: 200,
      response: policyDocument,
      answer: async (call) => answerPolicy(await find(call)),
    }),
    appRoute({
      method: 'PUT',
      path: `${path}/policy`,
      operationId: `setPolicyOf${operation}`,
      summary: `Replace the policy of the ${level}; a document without a rule takes it away`,
      scope: 'dashboard_policy:write',
      body: policyRequests.setPolicy,
      conditional: true,
      status: 200,
      response: policyDocument,
      async answer(call) {
        const current = await find(call);
        const body = call.readBody((valid) => takePolicy(valid, { level, field: '' }).problems);
        requireRevision(current, call.expectedRevision);
        return answerPolicy(await replace(call, takePolicy(body, { level, field: '' }).policy));
      },
    }),
  ];
}

function answerPolicy({ value, revision }: Restricted): { body: object; revision: number } {
  return { body: value.policy ?? {}, revision };
}

export const policyRoutes: readonly Route[] = [
  ...places.flatMap(routesOf),
  appRoute({
    method: 'POST',
    path: `${ofApp}/grants/{grant}/explain`,
    operationId: 'explainGrant',
    summary: 'Whether a request with this grant or delegation would be let through, and the rule that decides',
    scope: 'dashboard_policy:read',
    body: policyRequests.explain,
    whileArchived: true,
    status: 200,
    response: explanation,
    answer: explainGrant,
  }),
];

async function explainGrant({
  vault,
  app,
  params,
  now,
  readBody,
}: AppCall<Record<never, never>, typeof policyRequests.explain.shape>): Promise<{ body: object }> {
  const { grant, delegation } = await findNamed(app, params.grant!);
  const body = readBody((valid) => (valid.url === undefined ? [] : readUrl(valid.url).problems));
  const { origin, path, target } = readUrl(body.url).value!;
  const at = body.at === undefined || body.at === null ? now : Date.parse(body.at);
  const secret = await findSecret(app.secrets, grant.secretId);
  const agentId = delegation?.delegation.agentId ?? (grant.principal.type === 'agent' ? grant.principal.agentId : null);
  const request: ExplainedRequest = {
    origin,
    path,
    method: body.method,
    reason: body.reason ?? null,
    restated: findRestatement([], target),
    clientAddress: body.client_ip ?? '',
  };
  const subject = { app: (await vault.apps.get(app.appId)).value, grant, secret, delegation };
  const explained = explain(request, subject, { agent: await findAgent(app, agentId), now: at });
  return {
    body: {
      grant_id: params.grant!,
      managed_secret_slug: secret?.slug ?? null,
      decision: explained.decision,
      code: explained.code,
      policy_error: explained.policyError,
      rule: explained.rule,
      level: explained.level,
      detail: explained.detail,
      hint: explained.hint,
      rates: explained.rates.map(({ level, requests, perSeconds }) => ({ level, requests, per_seconds: perSeconds })),
      at: formatTime(at),
    },
  };
}

/** A grant, or a delegation with its source. Throws `not_found`. */
async function findNamed(app: AppVault, id: string) {
  const grant = await orNull(app.grants.get(id));
  if (grant !== null) return { grant: grant.value, delegation: null };
  const { value: delegation } = await app.delegations.get(id).catch((error: unknown) => {
    throw isNotFound(error) ? new AlterError('not_found', { detail: 'There is no such grant in this app.' }) : error;
  });
  const user = await orNull(app.users.get(delegation.userId));
  return {
    grant: (await app.grants.get(delegation.sourceGrantId)).value,
    delegation: { delegation, user: user?.value ?? null },
  };
}

async function findAgent(app: AppVault, id: string | null): Promise<Agent | null> {
  return id === null ? null : ((await orNull(app.agents.get(id)))?.value ?? null);
}

async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  return asked.catch((error: unknown) => {
    if (isNotFound(error)) return null;
    throw error;
  });
}

function isNotFound(error: unknown): boolean {
  return error instanceof AlterError && error.code === 'not_found';
}

/** Taken apart as the proxy does it, so that the path is judged in the spelling in which it would be sent. */
function readUrl(url: string): {
  readonly value: { readonly origin: Origin; readonly path: string; readonly target: string } | null;
  readonly problems: readonly Problem[];
} {
  const wrong = { value: null, problems: [{ field: 'url', message: 'must be a whole https:// or http:// URL' }] };
  const parts = /^(https?):\/\/([^/?]*)(\/[^?]*)?(\?.*)?$/i.exec(url);
  if (parts === null || !/^[\x21-\x22\x24-\x7e]+$/.test(url)) return wrong;
  const scheme = parts[1]!.toLowerCase() as Origin['scheme'];
  try {
    const origin = parseAuthority(parts[2]!, scheme, scheme === 'https' ? 443 : 80);
    const path = parts[3] ?? '/';
    return { value: { origin, path, target: path + (parts[4] ?? '') }, problems: [] };
  } catch (error) {
    if (error instanceof AlterError) return wrong;
    throw error;
  }
}
