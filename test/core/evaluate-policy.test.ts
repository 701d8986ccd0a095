import { describe, expect, it } from '@jest/globals';
import type { Agent } from '../../core/agent.ts';
import type { App } from '../../core/app.ts';
import { type Decision, evaluate, refuseTunnel } from '../../core/evaluate.ts';
import { explain } from '../../core/explain.ts';
import type { Grant } from '../../core/grant.ts';
import { parseAuthority } from '../../core/origin.ts';
import type { PolicyLevel } from '../../core/policy.ts';
import type { PolicyDocument } from '../../core/policy-document.ts';
import { nothingRestated } from '../../core/restatement.ts';
import type { Caller } from '../../core/runtime-key.ts';
import type { Secret } from '../../core/secret.ts';

const noon = Date.UTC(2026, 5, 3, 12); // a Wednesday
const levels: readonly PolicyLevel[] = ['app', 'secret', 'agent', 'grant'];

type Policies = Partial<Record<PolicyLevel, PolicyDocument>>;

interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly reason?: string | null;
  readonly clientAddress?: string;
  readonly host?: string;
  readonly now?: number;
}

/** An agent's request with its own grant, so that all four levels have a say. */
function situation(policies: Policies, request: Request = {}) {
  const appId = 'app-1';
  const at = (level: PolicyLevel) => ({ policy: policies[level] ?? null });
  const base = { appId, createdAt: noon, updatedAt: noon };
  const app: App = {
    id: appId,
    name: 'a',
    egressMode: null,
    archivedAt: null,
    createdAt: noon,
    updatedAt: noon,
    ...at('app'),
  };
  const agent: Agent = {
    ...{ ...base, id: 'a1', name: 'bot', displayName: null, type: 'agent', status: 'active', metadata: {} },
    ...at('agent'),
  };
  const secret: Secret = {
    ...{ ...base, id: 's1', slug: 'stripe', name: 'Stripe', description: null, credentialType: 'bearer_token' },
    ...{ template: null, injectionHeader: 'Authorization', injectionFormat: 'Bearer {token}', injectionRules: [] },
    ...{ fieldNames: ['token'], accountIdentifier: null, accountDisplayName: null, allowedHosts: ['api.stripe.com'] },
    ...{ allowGroupDelegation: false, maxDelegationTtlDays: 90, version: 1, rotatedAt: null, ...at('secret') },
  };
  const grant: Grant = {
    ...{ id: 'g1', appId, secretId: 's1', principal: { type: 'agent', agentId: 'a1' }, label: 'default' },
    ...{ description: null, expiresAt: null, createdAt: noon, revokedAt: null, ...at('grant') },
  };
  const caller: Caller = {
    key: {
      ...{
        id: 'k1',
        appId,
        keyType: 'agent',
        agentId: 'a1',
        parentId: null,
        rotatedFrom: null,
        rotatedAt: null,
        name: 'k',
        scopes: ['proxy:execute'],
      },
      ...{ cidr: [], rateLimitRpm: 90, expiresAt: null, digest: '', createdAt: noon, revokedAt: null },
    },
    addresses: null,
    agent,
    parent: null,
  };
  const asked = {
    caller,
    user: null,
    origin: parseAuthority(request.host ?? 'api.stripe.com', 'https', 443),
    method: request.method ?? 'GET',
    path: request.path ?? '/v1/charges',
    reason: request.reason ?? null,
    restated: nothingRestated,
    clientAddress: request.clientAddress ?? '203.0.113.7',
  };
  return { asked, subject: { app, grant, secret }, agent, now: request.now ?? noon };
}

function decide(policies: Policies, request: Request = {}): Decision {
  const { asked, subject, now } = situation(policies, request);
  return evaluate(asked, subject, now);
}

const narrow: readonly (readonly [field: string, policy: PolicyDocument, error: string])[] = [
  ['methods', { methods: ['POST'] }, 'method_not_allowed'],
  ['paths', { paths: ['/v2/**'] }, 'path_not_allowed'],
  ['ip_allowlist', { ip_allowlist: ['198.51.100.0/24'] }, 'ip_not_allowed'],
  ['time_window', { time_window: { start: '13:00', end: '14:00' } }, 'time_outside_window'],
  ['weekdays_only', { weekdays_only: true }, 'time_wrong_weekday'],
  ['require_reason', { require_reason: true }, 'reason_required'],
];

describe('the policies around a grant', () => {
  it.each(levels.flatMap((level) => narrow.map((rule) => [level, ...rule] as const)))(
    'of the %s refuse by %s',
    (level, field, policy, policyError) => {
      const now = field === 'weekdays_only' ? Date.UTC(2026, 5, 6, 12) : noon;
      const refused = { kind: 'deny', code: 'policy_violation', policyError, rule: `${level}.policy.${field}` };
      expect(decide({ [level]: policy }, { now })).toMatchObject(refused);
    },
  );

  it('all have to pass', () => {
    const open = { methods: ['GET'] };
    expect(decide({ app: open, secret: open, agent: open, grant: open }).kind).toBe('allow');
    for (const level of levels)
      expect(
        decide({ app: open, secret: open, agent: open, grant: open, [level]: { methods: ['PUT'] } }),
      ).toMatchObject({
        rule: `${level}.policy.methods`,
      });
  });

  it.each(levels)('of the %s allow nothing where this release cannot read them', (level) => {
    const unreadable: PolicyDocument[] = [
      { rule_of_a_later_release: true },
      { methods: 'GET' },
      { methods: [] },
      { time_window: { start: '09:00' } },
      ...(level === 'grant' ? [] : [{ max_ttl_seconds: 60 }]),
    ];
    for (const policy of unreadable) {
      const refused = { code: 'policy_violation', policyError: 'policy_unreadable', rule: `${level}.policy` };
      expect(decide({ [level]: policy })).toMatchObject(refused);
      const { asked, subject, now } = situation({ [level]: policy });
      expect(refuseTunnel(asked, subject, now)).toMatchObject(refused);
    }
  });

  it('are asked after the host, and end a grant by their own date', () => {
    expect(decide({ grant: { methods: ['PUT'] } }, { host: 'api.evil.test' })).toMatchObject({
      code: 'host_not_allowed',
    });
    const policy = { expires_at: '2026-06-03T12:00:00Z' };
    expect(decide({ grant: policy })).toMatchObject({ code: 'grant_expired', rule: 'grant.policy.expires_at' });
    expect(decide({ grant: policy }, { now: noon - 1 }).kind).toBe('allow');
  });

  it('each bring a rate of their own beside that of the key', () => {
    const rate = (requests: number) => ({ rate_limit: { requests, per_seconds: 60 } });
    const decision = decide({ app: rate(1), secret: rate(2), agent: rate(3), grant: rate(4) });
    expect(decision.kind === 'allow' && decision.permit.rates).toEqual([
      { bucket: 'key:k1', requests: 90, perSeconds: 60 },
      { bucket: 'policy:app:app-1', requests: 1, perSeconds: 60 },
      { bucket: 'policy:secret:s1', requests: 2, perSeconds: 60 },
      { bucket: 'policy:agent:a1', requests: 3, perSeconds: 60 },
      { bucket: 'policy:grant:g1', requests: 4, perSeconds: 60 },
    ]);
  });

  it('let nothing pass for an app that is gone', () => {
    const { asked, subject, now } = situation({});
    expect(evaluate(asked, { ...subject, app: null }, now)).toMatchObject({ kind: 'deny', rule: 'app.exists' });
  });
});

describe('a tunnel that is asked for with a grant', () => {
  it('is judged by key, grant, host, address and time, and by nothing that only a request inside can show', () => {
    for (const level of levels)
      for (const [field, policy, policyError] of narrow) {
        const now = field === 'weekdays_only' ? Date.UTC(2026, 5, 6, 12) : noon;
        const { asked, subject } = situation({ [level]: policy });
        const refusal = refuseTunnel(asked, subject, now);
        if (['methods', 'paths', 'require_reason'].includes(field)) expect(refusal).toBeNull();
        else expect(refusal).toMatchObject({ policyError, rule: `${level}.policy.${field}` });
      }
    const { asked, subject, now } = situation({ grant: { rate_limit: { requests: 1, per_seconds: 60 } } });
    for (let i = 0; i < 3; i++) expect(refuseTunnel(asked, subject, now)).toBeNull();
    expect(refuseTunnel({ ...asked, origin: parseAuthority('b.test', 'https', 443) }, subject, now)).toMatchObject({
      code: 'host_not_allowed',
    });
  });
});

describe('an explanation', () => {
  const ask = (policies: Policies, request: Request = {}) => {
    const { asked, subject, agent, now } = situation(policies, request);
    return explain(asked, subject, { agent, now });
  };

  it('says what the request would be told, by the same evaluation', () => {
    for (const level of levels)
      for (const [field, policy] of narrow) {
        const now = field === 'weekdays_only' ? Date.UTC(2026, 5, 6, 12) : noon;
        const { kind: decision, ...told } = decide({ [level]: policy }, { now }) as Extract<Decision, { kind: 'deny' }>;
        expect(ask({ [level]: policy }, { now })).toMatchObject({ decision, ...told, level });
      }
  });

  it('names the command that mends it', () => {
    expect(ask({ agent: { methods: ['PUT'] } }).hint).toContain('alter policy set --agent bot');
    expect(ask({ secret: { methods: ['PUT'] } }).hint).toContain('alter policy set --secret stripe');
    expect(ask({ grant: { methods: ['PUT'] } }).hint).toContain('alter policy set --grant g1');
    expect(ask({ app: { methods: ['PUT'] } }).hint).toContain('`alter policy set`');
    expect(ask({}, { host: 'b.test' }).hint).toContain('set-allowed-hosts stripe --host api.stripe.com,b.test');
    expect(ask({ grant: { ip_allowlist: ['10.0.0.0/8'] } }, { clientAddress: '' }).hint).toContain('--client-ip');
  });

  it('lists the rates of an allowed request, and takes nothing from them', () => {
    expect(ask({ grant: { rate_limit: { requests: 5, per_seconds: 60 } } })).toMatchObject({
      decision: 'allow',
      rule: null,
      rates: [{ level: 'grant', requests: 5, perSeconds: 60 }],
    });
  });
});
