import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { alter, type Ended } from '../cli/alter.ts';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';

type Json = ReturnType<typeof JSON.parse>;

/**
 * What people do with the product, from the first command to the bytes at the upstream: the command as a process, without a
 * terminal as in CI, and `alter run` with curl as the workload.
 */
describe('a walk through the product', () => {
  let rig: Rig;
  let provider: TestIdentityProvider;
  let offsetMs = 0;
  const clock = () => Date.now() + offsetMs;
  const said: Ended[] = [];
  const canaries: string[] = [];

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'idp.test'], clock });
    provider = await TestIdentityProvider.open(rig, 'idp.test', clock);
    mkdirSync(join(rig.directory, 'home'));
  });
  afterAll(() => rig.close());

  async function command(line: string, stdin?: string): Promise<Ended> {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
    const ended = await alter(words, {
      env: { ALTER_ADMIN_URL: rig.service.adminUrl!, ALTER_PAT: rig.pat, ALTER_APP_ID: rig.appId },
      ...(stdin === undefined ? {} : { stdin }),
    });
    said.push(ended);
    return ended;
  }
  /** What a command that has to succeed printed, parsed. */
  async function read(line: string, stdin?: string): Promise<Json> {
    const ended = await command(line, stdin);
    expect({ line, ...ended }).toMatchObject({ code: 0 });
    return JSON.parse(ended.stdout);
  }
  const newCanary = (): string => {
    const canary = `canary-${randomBytes(18).toString('hex')}`;
    canaries.push(canary);
    return canary;
  };
  /** A secret by one name, whose value comes from standard input, for the upstream. */
  async function provision(name: string, more = '--credential-type bearer_token'): Promise<Json> {
    const canary = newCanary();
    const secret = await read(`managed-secrets create --name "${name}" ${more} --credential-value -`, `${canary}\n`);
    provisioned.push(secret.slug);
    await read(`managed-secrets set-allowed-hosts ${secret.slug} --host ${rig.authorityOf()}`);
    return { ...secret, canary };
  }
  const mint = async (more: string): Promise<{ id: string; key: string }> => read(`keys mint ${more}`);

  const curlWords = (headers: readonly string[]) => [
    '-sSi',
    ...headers.flatMap((header) => ['-H', header]),
    `https://${rig.authorityOf()}/work`,
  ];
  /** The status line, headers and body that curl got, with what `alter run` would set. */
  async function work(key: string, ...headers: readonly string[]): Promise<string> {
    const { stdout, stderr } = await rig.curl(curlWords(headers), { key, user: 'auto' });
    return stdout + stderr;
  }
  const seen = (header: string): readonly string[] => rig.sink().requests.at(-1)?.all(header) ?? [];
  /** So that in each walk one grant fits the host. */
  const provisioned: string[] = [];
  afterEach(async () => {
    for (const slug of provisioned.splice(0)) await command(`managed-secrets delete ${slug} --confirm ${slug}`);
  });

  it('in CI: a secret from standard input, its hosts, a key, and a request that carries it', async () => {
    const secret = await provision('Stripe live');
    expect(secret).toMatchObject({ slug: 'stripe-live', version: 1, grant_id: expect.any(String) });
    const { stdout } = await command('keys mint --name ci --scopes proxy:execute --output jsonl --fields key');
    const { key } = JSON.parse(stdout);
    const ended = await alter(['run', '--', 'curl', ...curlWords([])], {
      env: {
        ALTER_KEY: key,
        ALTER_CA_FILE: rig.caFile,
        ALTER_PROXY_URL: `http://127.0.0.1:${rig.proxyPort}`,
        HOME: join(rig.directory, 'home'),
      },
    });
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('200 OK') });
    expect(seen('authorization')).toEqual([`Bearer ${secret.canary}`]);
  });

  it('an agent is granted a secret, and access lists it among those who can reach it', async () => {
    const secret = await provision('Search index');
    await read('agents create --name crawler --display-name Crawler');
    const grant = 'managed-secrets grants create search-index --principal-type agent';
    const made = await read(`${grant} --agent-id crawler --label crawler`);
    const { key } = await mint('--key-type agent --agent-id crawler --name crawler-1 --scopes proxy:execute');
    expect(await work(key)).toMatch(/200 OK/);
    expect(seen('authorization')).toEqual([`Bearer ${secret.canary}`]);

    const { entries, counts } = await read('managed-secrets access search-index');
    expect(counts).toMatchObject({ agent: 1, system: 1, direct: 0, group: 0, delegation: 0 });
    const agent = entries.find((entry: Json) => entry.principal.type === 'agent');
    expect(agent).toMatchObject({ path_count: 1, paths: [{ kind: 'agent', grant_id: made.grant_id }] });

    await read(`managed-secrets grants revoke ${made.grant_id} --yes`);
    const named = `X-Alter-Grant: ${made.grant_id}`;
    await eventually(async () => /403[\s\S]*grant_revoked/.test(await work(key, named)));
  });

  it('a key is rotated without downtime', async () => {
    await provision('Rotated');
    const old = await mint('--name checkout --scopes proxy:execute');
    const next = await read(`keys rotate --key ${old.id}`);
    for (const { key } of [old, next]) expect(await work(key)).toMatch(/200 OK/);
    expect(await work(old.key)).toMatch(/x-alter-key-deprecated: true/i);
    expect(await work(next.key)).not.toMatch(/x-alter-key-deprecated/i);
    expect(await read('keys statistics')).toMatchObject({ rotated_in_grace: 1 });
    await read(`keys revoke --key ${old.id} --yes`);
    await eventually(async () => /407/.test(await work(old.key)));
    expect(await work(next.key)).toMatch(/200 OK/);
    expect(await read('keys statistics')).toMatchObject({ rotated_in_grace: 0 });
  });

  it('a key of a CI job ends by itself', async () => {
    await provision('Deploy');
    const job = await mint('--name job-4711 --scopes proxy:execute --cidr 127.0.0.0/8 --expires-in 5m');
    expect(await work(job.key)).toMatch(/200 OK/);
    offsetMs += 6 * 60_000;
    await eventually(async () => /407/.test(await work(job.key)));
    expect(await read(`keys show --key ${job.id}`)).toMatchObject({ status: 'expired' });
  });

  it('Datadog is a system grant from a template, with its key in a header of its own', async () => {
    const secret = await provision('Datadog', '--template datadog --label metrics');
    expect(secret).toMatchObject({
      template: 'datadog',
      credential_type: 'header_key',
      injection_header: 'DD-API-KEY',
    });
    const { items } = await read('managed-secrets grants list datadog --output json');
    expect(items).toMatchObject([{ principal_type: 'system', label: 'metrics', grant_id: secret.grant_id }]);
    const { key } = await mint('--name metrics --scopes proxy:execute');
    expect(await work(key, 'DD-API-KEY: placeholder')).toMatch(/200 OK/);
    expect(seen('dd-api-key')).toEqual([secret.canary]);
  });

  describe('with an identity provider', () => {
    let idpId: string;
    let key: string;
    beforeAll(async () => {
      const where = `--issuer ${provider.issuer} --audience ${provider.audience} --jwks-url ${provider.jwksUrl}`;
      ({ id: idpId } = await read(`identity-providers create --name Okta ${where} --groups-claim roles`));
      ({ key } = await mint('--name app --scopes proxy:execute'));
    });
    const tokenOf = async (sub: string, roles: readonly string[] = []): Promise<string> =>
      `X-Alter-User-Token: ${await provider.token({ sub, roles })}`;

    it('every user has a credential of their own, chosen by their token', async () => {
      const canaryOf = new Map<string, string>();
      for (const name of ['alice', 'bob']) {
        const secret = await provision(`OpenAI of ${name}`);
        canaryOf.set(name, secret.canary);
        const user = await read(`users create --idp-id ${idpId} --external-id ${name} --name ${name}`);
        const grant = `managed-secrets grants create ${secret.slug} --principal-type user --app-user-id ${user.id}`;
        await read(`${grant} --label ${name}`);
        await read(`managed-secrets grants revoke ${secret.grant_id} --yes`); // the base grant is everybody's
      }
      for (const name of ['alice', 'bob', 'alice']) {
        expect(await work(key, await tokenOf(name))).toMatch(/200 OK/);
        expect(seen('authorization')).toEqual([`Bearer ${canaryOf.get(name)}`]);
      }
      const before = rig.sink().requests.length;
      await work(key, await tokenOf('mallory'));
      for (const { rawHeaders } of rig.sink().requests.slice(before))
        expect(rawHeaders.join(' ')).not.toMatch(/canary/);
    });

    it('the support group uses one credential, whoever is in it', async () => {
      const secret = await provision('Zendesk');
      const group = `--idp-id ${idpId} --external-group-id support`;
      await read(`groups create ${group} --name Support`);
      const grant = await read(`managed-secrets grants create zendesk --principal-type group ${group} --label support`);
      const of = async (sub: string, roles: readonly string[]) =>
        work(key, `X-Alter-Grant: ${grant.grant_id}`, await tokenOf(sub, roles));
      expect(await of('carol', ['support'])).toMatch(/200 OK/);
      expect(seen('authorization')).toEqual([`Bearer ${secret.canary}`]);
      const before = rig.sink().requests.length;
      expect(await of('dave', ['sales'])).toMatch(/403[\s\S]*principal_mismatch/);
      expect(rig.sink().requests.length).toBe(before);

      await eventually(async () => (await read('groups show support')).member_count === 1);
      const { entries } = await read('managed-secrets access zendesk');
      const support = entries.find((entry: Json) => entry.paths.some((path: Json) => path.kind === 'group'));
      expect(support).toMatchObject({ principal: { type: 'group' }, paths: [{ grant_id: grant.grant_id }] });
    });
  });

  it('and no command said a credential', () => {
    expect(said.length).toBeGreaterThan(40);
    expect(canaries.length).toBeGreaterThan(6);
    const all = said.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    for (const canary of canaries) expect(all).not.toContain(canary);
  });
});
