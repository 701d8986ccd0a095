import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { AddressSet, findAddressRange } from '../../core/address.ts';
import type { Agent } from '../../core/agent.ts';
import type { App } from '../../core/app.ts';
import { type Decision, evaluate, evaluateKey, evaluateUntagged, isPermit } from '../../core/evaluate.ts';
import type { Grant } from '../../core/grant.ts';
import { parseAuthority } from '../../core/origin.ts';
import type { Principal } from '../../core/principal.ts';
import { nothingRestated } from '../../core/restatement.ts';
import type { Caller, RuntimeKey } from '../../core/runtime-key.ts';
import type { Secret } from '../../core/secret.ts';

const now = Date.UTC(2026, 5, 1, 12);
const root = new URL('../..', import.meta.url).pathname;

const key: RuntimeKey = {
  id: 'k1',
  appId: 'app-1',
  keyType: 'runtime',
  agentId: null,
  parentId: null,
  rotatedFrom: null,
  rotatedAt: null,
  name: 'test',
  scopes: ['proxy:execute'],
  cidr: [],
  rateLimitRpm: null,
  expiresAt: null,
  digest: '',
  createdAt: now,
  revokedAt: null,
};
const grant: Grant = {
  id: 'g1',
  appId: 'app-1',
  secretId: 's1',
  principal: { type: 'system' },
  label: 'default',
  description: null,
  policy: null,
  expiresAt: null,
  createdAt: now,
  revokedAt: null,
};
const secret: Secret = {
  id: 's1',
  appId: 'app-1',
  slug: 'stripe',
  name: 'Stripe',
  description: null,
  template: null,
  credentialType: 'bearer_token',
  injectionHeader: 'Authorization',
  injectionFormat: 'Bearer {token}',
  injectionRules: [],
  fieldNames: ['token'],
  accountIdentifier: null,
  accountDisplayName: null,
  allowedHosts: ['api.stripe.com', '*.files.stripe.com', 'eu.stripe.com:8443'],
  allowGroupDelegation: false,
  maxDelegationTtlDays: 90,
  policy: null,
  version: 1,
  createdAt: now,
  updatedAt: now,
  rotatedAt: null,
};

const agent: Agent = {
  id: 'a0',
  appId: 'app-1',
  name: 'crawler',
  displayName: null,
  type: 'agent',
  status: 'active',
  metadata: {},
  policy: null,
  createdAt: now,
  updatedAt: now,
};
const parent: RuntimeKey = { ...key, id: 'k0' };
const app: App = {
  id: 'app-1',
  name: 'default',
  policy: null,
  egressMode: null,
  archivedAt: null,
  createdAt: now,
  updatedAt: now,
};

interface Situation {
  readonly key?: Partial<RuntimeKey>;
  readonly cidr?: readonly string[];
  readonly grant?: Partial<Grant> | null;
  readonly secret?: Partial<Secret> | null;
  readonly authority?: string;
  readonly scheme?: 'https' | 'http';
  readonly clientAddress?: string;
  readonly now?: number;
}

function callerOf(situation: Situation): Caller {
  const ranges = situation.cidr?.map((text) => findAddressRange(text)!);
  const ofAgent = situation.key?.keyType === 'agent' ? { agentId: agent.id } : {};
  const ofParent = situation.key?.keyType === 'derived' ? { parentId: parent.id } : {};
  return {
    key: { ...key, ...ofAgent, ...ofParent, ...situation.key },
    addresses: ranges === undefined ? null : new AddressSet(ranges),
    agent: situation.key?.keyType === 'agent' ? agent : null,
    parent: situation.key?.keyType === 'derived' ? { key: parent, addresses: null, agent: null, parent: null } : null,
  };
}

function decide(situation: Situation): Decision {
  const scheme = situation.scheme ?? 'https';
  return evaluate(
    {
      caller: callerOf(situation),
      origin: parseAuthority(situation.authority ?? 'api.stripe.com', scheme, scheme === 'https' ? 443 : 80),
      method: 'GET',
      path: '/v1/charges',
      reason: null,
      restated: nothingRestated,
      clientAddress: situation.clientAddress ?? '192.0.2.7',
      user: null,
    },
    {
      app,
      grant: situation.grant === null ? null : { ...grant, ...situation.grant },
      secret: situation.secret === null ? null : { ...secret, ...situation.secret },
    },
    situation.now ?? now,
  );
}

/** Every way to be refused, in the order in which the refusals go before each other. */
const refusals: readonly (readonly [title: string, situation: Situation, code: string, rule: string])[] = [
  ['the key is revoked', { key: { revokedAt: now } }, 'key_revoked', 'key.live'],
  ['the key has expired', { key: { expiresAt: now } }, 'key_expired', 'key.live'],
  ['there is no such grant', { grant: null }, 'grant_not_found', 'grant.exists'],
  ['the grant is of another app', { grant: { appId: 'app-2' } }, 'grant_not_found', 'grant.exists'],
  ['an agent key asks for a system grant', { key: { keyType: 'agent' } }, 'grant_not_found', 'grant.exists'],
  ['the grant is revoked', { grant: { revokedAt: now } }, 'grant_revoked', 'grant.live'],
  ['the grant has expired', { grant: { expiresAt: now } }, 'grant_expired', 'grant.live'],
  ['the secret is deleted', { secret: null }, 'grant_revoked', 'secret.live'],
  ['the secret is of another app', { secret: { appId: 'app-2' } }, 'grant_revoked', 'secret.live'],
  ['the secret is not that of the grant', { secret: { id: 's2' } }, 'grant_revoked', 'secret.live'],
  [
    'the key lacks proxy:execute',
    { key: { scopes: ['grants:admin', 'secrets:admin'] } },
    'insufficient_scope',
    'key.scopes',
  ],
  ['the key is used from elsewhere', { cidr: ['10.0.0.0/8'] }, 'policy_violation', 'key.cidr'],
  ['the target is http://', { scheme: 'http' }, 'plaintext_forbidden', 'secret.plaintext'],
  ['the secret has no hosts', { secret: { allowedHosts: [] } }, 'host_not_allowed', 'secret.allowed_hosts'],
  ['the host is another', { authority: 'api.evil.test' }, 'host_not_allowed', 'secret.allowed_hosts'],
];

describe('a request that names a grant', () => {
  it('is allowed with a permit that holds exactly what was evaluated', () => {
    const decision = decide({});
    if (decision.kind !== 'allow') throw new Error(decision.code);
    expect(isPermit(decision.permit)).toBe(true);
    expect(decision.permit).toMatchObject({
      caller: { key: { id: 'k1' } },
      grant: { id: 'g1' },
      secret: { id: 's1' },
      origin: { host: 'api.stripe.com', port: 443 },
      rates: [],
    });
  });

  it.each(refusals)('is refused when %s', (_title, situation, code, rule) => {
    expect(decide(situation)).toMatchObject({ kind: 'deny', code, rule });
  });

  it('is refused for the first reason where there are several', () => {
    for (const [index, [, first, code, rule]] of refusals.entries())
      for (const [, second] of refusals.slice(index + 1)) {
        // Two that say different things of the same field can't be true together.
        if (Object.keys(first).some((field) => field in second && field !== 'key')) continue;
        const both = { ...second, ...first, key: { ...second.key, ...first.key } };
        expect([both, decide(both)]).toEqual([both, expect.objectContaining({ code, rule })]);
      }
  });

  it.each([
    ['user', { type: 'user', appUserId: 'u1' }],
    ['group', { type: 'group', idpId: 'i1', externalGroupId: 'e1' }],
    ['agent', { type: 'agent', agentId: 'a1' }],
  ] as const satisfies readonly (readonly [string, Principal])[])(
    'is refused for a grant to another %s, whatever the kind of the key',
    (type, principal) => {
      for (const keyType of ['runtime', 'agent', 'derived'] as const) {
        // A user or a group is shown by a token, and this request has none.
        const code = type === 'agent' || keyType === 'agent' ? 'principal_mismatch' : 'user_token_invalid';
        expect(decide({ key: { keyType }, grant: { principal } })).toMatchObject({ code });
      }
    },
  );

  it('is allowed for a system grant with a runtime or a derived key', () => {
    for (const keyType of ['runtime', 'derived'] as const) expect(decide({ key: { keyType } }).kind).toBe('allow');
  });

  it('tells an agent key nothing about a system grant, in whatever state it is', () => {
    const none = decide({ key: { keyType: 'agent' }, grant: null });
    for (const state of [{}, { revokedAt: now }, { expiresAt: now - 1 }])
      expect(decide({ key: { keyType: 'agent' }, grant: state })).toEqual(none);
    expect(decide({ key: { keyType: 'agent' }, secret: null })).toEqual(none);
  });

  it("answers the same for another app's grant as for none", () => {
    for (const state of [{}, { revokedAt: now }, { expiresAt: now - 1 }])
      expect(decide({ grant: { ...state, appId: 'app-2' } })).toEqual(decide({ grant: null }));
  });

  it('may use a key and a grant until the millisecond before they expire', () => {
    expect(decide({ key: { expiresAt: now + 1 }, grant: { expiresAt: now + 1 } }).kind).toBe('allow');
    expect(decide({ key: { expiresAt: now } }).kind).toBe('deny');
    expect(decide({ grant: { expiresAt: now } }).kind).toBe('deny');
  });

  it.each([
    ['api.stripe.com', true],
    ['API.STRIPE.COM.', true],
    ['a.files.stripe.com', true],
    ['a.b.files.stripe.com', true],
    ['eu.stripe.com:8443', true],
    ['files.stripe.com', false],
    ['stripe.com', false],
    ['eu.stripe.com', false],
    ['api.stripe.com:8443', false],
    ['api.stripe.com:22', false],
    ['api.stripe.com.evil.test', false],
    ['127.0.0.1', false],
    ['[::1]', false],
  ])('may go to %s: %s', (authority, allowed) => {
    expect(decide({ authority }).kind).toBe(allowed ? 'allow' : 'deny');
  });

  it('goes nowhere by a stored pattern that cannot be read, and the other patterns keep their meaning', () => {
    const allowedHosts = ['*', '*.com', '*stripe.com', '', 'api.stripe.com/', 'bücher.example'];
    expect(decide({ secret: { allowedHosts } })).toMatchObject({ code: 'host_not_allowed' });
    expect(decide({ secret: { allowedHosts: [...allowedHosts, 'api.stripe.com'] } }).kind).toBe('allow');
  });

  it('goes over http:// to no host, even to one that is allowed on that port', () => {
    expect(decide({ scheme: 'http', secret: { allowedHosts: ['api.stripe.com:80'] } })).toMatchObject({
      code: 'plaintext_forbidden',
    });
  });

  it('carries the rate of its key, per minute', () => {
    const decision = decide({ key: { rateLimitRpm: 90 } });
    expect(decision.kind === 'allow' && decision.permit.rates).toEqual([
      { bucket: 'key:k1', requests: 90, perSeconds: 60 },
    ]);
  });

  it('is decided alike each time, and nothing given is changed', () => {
    const before = JSON.stringify([key, grant, secret]);
    expect(decide({})).toEqual(decide({}));
    expect(JSON.stringify([key, grant, secret])).toBe(before);
  });
});

describe('a key', () => {
  it.each([
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '', false],
    ['10.0.0.0/8', '10.1.2.3, 8.8.8.8', false],
    ['2001:db8::/32', '2001:db8::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
  ])('with the addresses %s may be used from %s: %s', (cidr, clientAddress, allowed) => {
    const refusal = evaluateKey(callerOf({ cidr: [cidr] }), clientAddress, now);
    if (allowed) expect(refusal).toBeNull();
    else expect(refusal).toMatchObject({ code: 'policy_violation', policyError: 'ip_not_allowed' });
  });

  it('with a list of addresses that is there but empty may be used from nowhere', () => {
    expect(evaluateKey(callerOf({ cidr: [] }), '10.0.0.1', now)).toMatchObject({ policyError: 'ip_not_allowed' });
  });
});

describe('traffic that names no grant', () => {
  const origin = parseAuthority('pinned.example', 'https', 443);
  const decideUntagged = (situation: Situation, mode: 'tunnel' | 'deny') =>
    evaluateUntagged({ caller: callerOf(situation), origin, clientAddress: '192.0.2.7' }, mode, now);

  it('is passed on in tunnel mode, and refused in deny mode', () => {
    expect(decideUntagged({}, 'tunnel')).toMatchObject({ kind: 'allow', passage: { origin } });
    expect(decideUntagged({}, 'deny')).toMatchObject({ kind: 'deny', code: 'egress_denied' });
  });

  it('is refused in a mode that is none', () => {
    expect(decideUntagged({}, '' as 'tunnel')).toMatchObject({ kind: 'deny', code: 'egress_denied' });
  });

  it('needs a key that is alive, has the scope and is used from its addresses', () => {
    for (const mode of ['tunnel', 'deny'] as const) {
      expect(decideUntagged({ key: { revokedAt: now } }, mode)).toMatchObject({ code: 'key_revoked' });
      expect(decideUntagged({ key: { expiresAt: now } }, mode)).toMatchObject({ code: 'key_expired' });
      expect(decideUntagged({ key: { scopes: [] } }, mode)).toMatchObject({ code: 'insufficient_scope' });
      expect(decideUntagged({ cidr: ['10.0.0.0/8'] }, mode)).toMatchObject({ policyError: 'ip_not_allowed' });
    }
  });

  it('counts against the rate of the key, and its passage is no permit', () => {
    const decision = decideUntagged({ key: { rateLimitRpm: 5 } }, 'tunnel');
    if (decision.kind !== 'allow') throw new Error(decision.code);
    expect(decision.passage.rates).toEqual([{ bucket: 'key:k1', requests: 5, perSeconds: 60 }]);
    expect(isPermit(decision.passage)).toBe(false);
  });
});

describe('a permit', () => {
  it('cannot be made up: an object of the same shape is none', () => {
    const decision = decide({});
    if (decision.kind !== 'allow') throw new Error(decision.code);
    const { caller, grant: granted, secret: of, origin, rates } = decision.permit;
    expect(isPermit({ caller, grant: granted, secret: of, origin, rates })).toBe(false);
    expect(isPermit(Object.assign({}, decision.permit))).toBe(false);
    expect(isPermit(Object.create(decision.permit) as object)).toBe(false);
    expect(isPermit(JSON.parse(JSON.stringify(decision.permit)) as object)).toBe(false);
    expect(isPermit(structuredClone(Object.assign({}, decision.permit, { caller: null })))).toBe(false);
  });

  it('is nominal: the compiler refuses an object literal, a passage and a spread of a permit in its place', () => {
    const folder = mkdtempSync(join(root, 'test/core/.permit-'));
    try {
      const file = join(folder, 'permit.ts');
      writeFileSync(
        file,
        `import type { Passage, Permit } from '../../../core/evaluate.ts';
declare const permit: Permit;
declare const passage: Passage;
export const honest: Permit = permit;
export const literal: Permit = { caller: permit.caller, grant: permit.grant, secret: permit.secret, origin: permit.origin, rates: [] };
export const spread: Permit = { ...permit };
export const other: Permit = passage;
export const otherWay: Passage = permit;
`,
      );
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          extends: '../../../tsconfig.json',
          compilerOptions: { rootDir: '../../..' },
          include: ['permit.ts'],
        }),
      );
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
      const lines = [...stdout.matchAll(/permit\.ts\((\d+),/g)].map((match) => Number(match[1]));
      expect([...new Set(lines)]).toEqual([5, 6, 7, 8]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
