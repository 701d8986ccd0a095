import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

type Json = ReturnType<typeof JSON.parse>;

const inAYear = new Date(Date.now() + 365 * 86_400_000).toISOString();
const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');

let rig: AdminRig;
let directory: string;
/** Words in braces of the lines below. */
const known = new Map<string, string>();

beforeAll(async () => {
  rig = await startAdminRig();
  directory = mkdtempSync(join(tmpdir(), 'alter-documented-'));
  const post = async (path: string, body: object): Promise<Json> =>
    (await rig.send('POST', `/v1/apps/${rig.app.id}${path}`, { body })).json;
  const keep = (name: string, value: string): void => {
    known.set(name, value);
  };
  const provider = { name: 'Okta', issuer: 'https://idp.example.com', audience: 'api' };
  keep('idp', (await post('/identity-providers', { ...provider, jwks_url: 'https://idp.example.com/keys' })).id);
  keep('user', (await post('/users', { idp_id: known.get('idp'), external_id: 'u-1', name: 'Alice' })).id);
  await post('/groups', { idp_id: known.get('idp'), external_group_id: 'support', name: 'Support' });
  keep('agent', (await post('/agents', { name: 'crawler' })).id);
  const file = (name: string, content: unknown): void => {
    const path = join(directory, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    keep(name, `@${path}`);
  };
  file('value', 'sk-from-a-file\n');
  file('fields', { credential_value: 'sk-primary', account: 'acct_1' });
  file('rule', { target: 'header', name: 'X-Api-Key', format: '{account}' });
  file('policy', { methods: ['GET'] });
  file('request', { principal_type: 'agent', agent_id: 'crawler', label: 'from a file' });
  file('key-file', { name: 'from a file', scopes: ['proxy:execute'] });
});
afterAll(async () => {
  await rig.close();
  rmSync(directory, { recursive: true });
});

/** The fields that docs/cli.md has for a command. */
function documentedFields(words: readonly string[]): readonly string[] | null {
  for (let count = words.length; count > 0; count -= 1) {
    const section = page.split(`#### \`alter ${words.slice(0, count).join(' ')}\`\n`)[1]?.split('\n#### ')[0];
    const fields = section === undefined ? undefined : /^Fields(?: of an item)?: (.*)\.$/m.exec(section)?.[1];
    if (section !== undefined) return fields === undefined ? null : fields.replaceAll('`', '').split(', ');
  }
  throw new Error(`docs/cli.md has no ${words.join(' ')}`);
}

interface Line {
  readonly line: string;
  readonly stdin?: string;
  /** What the answer holds. */
  readonly holds?: Record<string, unknown>;
  /** Kept under a name for the lines after it. */
  readonly keep?: Readonly<Record<string, string>>;
}

/** The documented commands, in an order in which each has what it needs. */
const lines: readonly Line[] = [
  { line: 'managed-secrets templates --search datadog' },
  {
    line: 'managed-secrets create --name Stripe --description Payments --credential-type bearer_token --credential-value - --label base --account-identifier acct_1 --account-display-name Shop --allow-group-delegation --max-delegation-ttl-days 30',
    stdin: 'sk-from-stdin\n',
    holds: { slug: 'stripe', description: 'Payments', account_identifier: 'acct_1', account_display_name: 'Shop' },
    keep: { secret: 'slug', base: 'grant_id' },
  },
  { line: 'managed-secrets create --name Stripe --credential-value {value}', holds: { slug: 'stripe-2' } },
  {
    line: 'managed-secrets create --name Key --credential-type header_key --injection-header X-Key --injection-format {token} --credential-value sk',
    holds: { injection_header: 'X-Key', injection_format: '{token}' },
  },
  {
    line: 'managed-secrets create --name Basic --credential-type basic_auth --credential-field username=ada --credential-field password=secret',
    holds: { credential_type: 'basic_auth' },
  },
  {
    line: 'managed-secrets create --name Aws --credential-type aws_sig_v4 --credential-field access_key_id=AKIAIOSFODNN7EXAMPLE --credential-field secret_access_key=not-real-not-real-not-real-not-real-nope',
    holds: { credential_type: 'aws_sig_v4' },
  },
  {
    line: 'managed-secrets create --name Ruled --credentials {fields} --injection-rule {rule}',
    holds: { injection_rules: [{ target: 'header', name: 'X-Api-Key', format: '{account}' }] },
  },
  {
    line: 'managed-secrets create --name Datadog --template datadog --credential-value -',
    stdin: 'dd\n',
    holds: { template: 'datadog', injection_header: 'DD-API-KEY' },
  },
  {
    line: 'managed-secrets create --input -',
    stdin: JSON.stringify({ name: 'From stdin', credential_value: 'sk' }),
    holds: { slug: 'from-stdin' },
  },
  { line: 'managed-secrets list' },
  { line: 'managed-secrets show stripe', holds: { allow_group_delegation: true, max_delegation_ttl_days: 30 } },
  { line: 'managed-secrets rotate stripe --credential-value -', stdin: 'sk-next\n', holds: { version: 2 } },
  {
    line: 'managed-secrets set-delegation-policy stripe --max-delegation-ttl-days 7',
    holds: { allow_group_delegation: false },
  },
  {
    line: 'managed-secrets set-allowed-hosts stripe --host api.stripe.com --host files.stripe.com,*.example.com',
    holds: { allowed_hosts: ['api.stripe.com', 'files.stripe.com', '*.example.com'] },
  },
  { line: 'managed-secrets set-allowed-hosts stripe --clear', holds: { allowed_hosts: [] } },
  { line: 'managed-secrets users --idp {idp} --search alice --limit 10 --offset 0' },
  { line: 'managed-secrets groups list --idp {idp} --search supp --limit 10 --offset 0' },
  {
    line: 'managed-secrets groups show support --member-limit 5 --member-offset 0 --grant-limit 5 --grant-offset 0',
    holds: { external_group_id: 'support' },
  },
  {
    line: 'managed-secrets grants create stripe --principal-type user --app-user-id {user} --label alice',
    holds: { principal_type: 'user' },
    keep: { grant: 'grant_id' },
  },
  {
    line: 'managed-secrets grants create stripe --principal-type group --idp-id {idp} --external-group-id support --label support',
    holds: { principal_type: 'group', external_group_id: 'support' },
  },
  {
    line: `managed-secrets grants create stripe --principal-type agent --agent-id {agent} --label crawler --description crawls --expires-at ${inAYear}`,
    holds: { principal_type: 'agent', description: 'crawls', expires_at: inAYear },
  },
  {
    line: 'managed-secrets grants create stripe --principal-type system --label batch --grant-policy {policy}',
    holds: { principal_type: 'system', grant_policy: { methods: ['GET'] } },
  },
  { line: 'managed-secrets grants create stripe --input {request}', holds: { label: 'from a file' } },
  { line: 'managed-secrets grants list stripe' },
  { line: 'managed-secrets grants list-for-agent {agent}' },
  { line: 'managed-secrets grants update {grant} --label ada', holds: { label: 'ada' } },
  { line: 'managed-secrets access stripe' },
  { line: 'managed-secrets grants revoke {grant} --yes', holds: { status: 'revoked' } },
  {
    line: 'keys mint --name checkout --scopes proxy:execute,grants:read --key-type runtime --cidr 10.0.0.0/8,192.0.2.7/32 --rate-limit-rpm 600 --expires-in 30d',
    holds: { name: 'checkout', rate_limit_rpm: 600, cidr: ['10.0.0.0/8', '192.0.2.7/32'], key: expect.any(String) },
    keep: { key: 'id' },
  },
  { line: `keys mint --name later --scopes proxy:execute --expires-at ${inAYear}`, holds: { expires_at: inAYear } },
  { line: 'keys mint --input {key-file}', holds: { name: 'from a file' } },
  {
    line: 'keys mint --key-type agent --agent-id {agent} --name crawler-1 --scopes proxy:execute',
    holds: { key_type: 'agent' },
  },
  { line: 'keys list --status active --limit 200 --offset 0' },
  { line: 'keys statistics', holds: { active: 4, rotated_in_grace: 0, total: 4, max_allowed: 1000 } },
  { line: 'keys show --key {key}', holds: { name: 'checkout', status: 'active' } },
  { line: 'keys rename --key {key} --name shop', holds: { name: 'shop' } },
  {
    line: 'keys rotate --key {key} --scopes proxy:execute',
    holds: { scopes: ['proxy:execute'], key: expect.any(String) },
  },
  { line: 'keys revoke --key {key} --force --yes', holds: { status: 'revoked' } },
  { line: 'managed-secrets delete stripe --confirm stripe' },
];

describe('the documented command', () => {
  it.each(lines)('alter $line', async ({ line, stdin, holds, keep }) => {
    const words = line
      .split(' ')
      .map((word) => word.replace(/^\{(.+)\}$/, (whole, name: string) => known.get(name) ?? whole));
    const { code, stdout, stderr } = await alter(line.includes('delete') ? words : [...words, '--output', 'json'], {
      env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id },
      ...(stdin === undefined ? {} : { stdin }),
    });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout + stderr).not.toMatch(/sk-(?:from|next|primary)|not-real/);
    const answer: Json = stdout === '' ? null : JSON.parse(stdout);
    const fields = documentedFields(words);
    const isList = Array.isArray(answer?.items);
    for (const one of isList ? answer.items : [answer]) if (fields !== null) expect(Object.keys(one)).toEqual(fields);
    if (isList) {
      expect(answer.items.length).toBeGreaterThan(0);
      expect(Object.keys(answer)).toEqual(['items', 'total', 'limit', 'offset', 'has_more']);
    }
    if (holds !== undefined) expect(answer).toMatchObject(holds);
    for (const [name, field] of Object.entries(keep ?? {})) known.set(name, answer[field]);
  });
});
