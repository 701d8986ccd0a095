import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { parseConfig } from '../../core/config.ts';
import { issueId } from '../../core/id.ts';
import { TestCluster } from '../support/cluster.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { exchangeRaw, openTunnel } from '../support/tunnel-client.ts';

/*
 * Being a pod that one is not. Whoever makes the proxy believe a token of their own making has every credential that the
 * pod may use. The first line of the table is a token that is good, so that what is refused is refused for its fault.
 */
let rig: Rig;
let cluster: TestCluster;
let elsewhere: TestCluster;
let secret: StoredSecret;
let identityId: string;
let otherApp: string;
let offsetMs = 0;
const clock = (): number => Date.now() + offsetMs;

const own = () => ({ appId: rig.appId });
const seconds = (after: number): number => Math.floor(clock() / 1_000) + after;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const unsigned = (alg: string) => async () => `${encode({ alg, kid: 'es-1' })}.${encode(cluster.claims(own()))}.`;

const tunnel = (key: string, host = 'a.test') =>
  openTunnel({
    proxyPort: rig.proxyPort,
    target: rig.authorityOf(host),
    key,
    user: 'auto',
    serverName: host,
    ca: rig.service.authorityPem,
  });

/** The credentials that arrived, or the refusal. */
async function use(key: string): Promise<readonly unknown[]> {
  const opened = await tunnel(key);
  if (opened.kind === 'refused') return [opened.answer.status, opened.answer.headers['x-alter-error']];
  if (opened.kind !== 'open') return [opened.kind];
  opened.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n\r\n`);
  const answer = await opened.reader.next();
  opened.socket.destroy();
  if (answer.status !== 200) return [answer.status, answer.headers['x-alter-error']];
  return rig.sink().requests.at(-1)!.all('authorization');
}

beforeAll(async () => {
  const sinks = ['a.test', 'cluster.test', 'other-cluster.test'];
  rig = await Rig.open({ sinks, clock, settings: { ALTER_MAX_KEY_FAILURES_PER_MINUTE: '100000' } });
  cluster = await TestCluster.open(rig, 'cluster.test', clock);
  await cluster.issuer.addKey('rs-1', 'RS256');
  elsewhere = await TestCluster.open(rig, 'other-cluster.test', clock);
  secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  identityId = await cluster.register(rig);
  otherApp = (await rig.admin<{ id: string }>('POST', '/v1/apps', { name: 'other' })).id;
  await cluster.register(rig, { service_account: 'billing' }, otherApp);
});
afterAll(() => rig?.close());

describe('a pod that shows the token of its ServiceAccount', () => {
  it('gets the credential, by Basic and by Bearer, and the audit names its identity', async () => {
    const token = await cluster.token(own());
    expect(await use(token)).toEqual([`Bearer ${secret.canary}`]);
    const { items } = await rig.admin<{ items: { key_id: string; decision: string }[] }>('GET', '/audit?limit=5');
    expect(items.find(({ decision }) => decision === 'allow')?.key_id).toBe(identityId);
    const head = `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n`;
    const opened = await exchangeRaw(rig.proxyPort, `${head}Proxy-Authorization: Bearer ${token}\r\n\r\n`);
    expect(opened.status).toBe(200);
  });

  it.each<readonly [string, () => Promise<string>]>([
    ['alg none', unsigned('none')],
    ['alg None', unsigned('None')],
    ['an empty signature', unsigned('ES256')],
    [
      'a signature by the HMAC of the public key',
      async () => {
        const bytes = new TextEncoder().encode(JSON.stringify([...cluster.issuer.keys.values()][0]!.publicJwk));
        return new SignJWT(cluster.claims(own())).setProtectedHeader({ alg: 'HS256', kid: 'es-1' }).sign(bytes);
      },
    ],
    [
      'a signature by a key of their own under our kid',
      async () => {
        const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
        return new SignJWT(cluster.claims(own())).setProtectedHeader({ alg: 'ES256', kid: 'es-1' }).sign(privateKey);
      },
    ],
    [
      'a key that they bring along',
      async () => {
        const pair = [...elsewhere.issuer.keys.values()][0]!;
        const header = { alg: 'ES256', kid: 'es-1', jwk: pair.publicJwk };
        return new SignJWT(cluster.claims(own())).setProtectedHeader(header).sign(pair.privateKey);
      },
    ],
    [
      'a key set that they point to',
      async () => {
        const pair = [...elsewhere.issuer.keys.values()][0]!;
        const header = { alg: 'ES256', kid: 'es-1', jku: elsewhere.issuer.jwksUrl };
        return new SignJWT(cluster.claims(own())).setProtectedHeader(header).sign(pair.privateKey);
      },
    ],
    ['the token of another cluster with the same names', () => elsewhere.token(own())],
    ['the issuer of ours, signed by another cluster', () => elsewhere.token(own(), { iss: cluster.issuer.issuer })],
    ['our issuer with a slash more', () => cluster.token(own(), { iss: `${cluster.issuer.issuer}/` })],
    ['no issuer', () => cluster.token(own(), { iss: undefined })],
    ['the audience of the API server', () => cluster.token(own(), { aud: ['https://kubernetes.default.svc'] })],
    ['no audience', () => cluster.token(own(), { aud: undefined })],
    ['our audience and that of somebody else', () => cluster.token(own(), { aud: [`alter-egress:${rig.appId}`, 'x'] })],
    ['our audience twice', () => cluster.token(own(), { aud: Array(2).fill(`alter-egress:${rig.appId}`) })],
    ['the audience of all apps', () => cluster.token(own(), { aud: 'alter-egress:*' })],
    ['the audience of no app', () => cluster.token(own(), { aud: `alter-egress:${issueId(Date.now())}` })],
    ['the system as its app', () => cluster.token(own(), { aud: 'alter-egress:system' })],
    ['another namespace', () => cluster.token({ ...own(), namespace: 'team-b' })],
    ['another account', () => cluster.token({ ...own(), account: 'default' })],
    ['an account that another app knows', () => cluster.token({ ...own(), account: 'billing' })],
    ['the app that does not know the account', () => cluster.token({ appId: otherApp })],
    ['a subject of another namespace', () => cluster.token(own(), { sub: 'system:serviceaccount:team-b:checkout' })],
    ['a subject that is a user', () => cluster.token(own(), { sub: 'checkout' })],
    ['a subject that is cut otherwise', () => cluster.token({ ...own(), namespace: 'team', account: 'a:checkout' })],
    ['no claim of Kubernetes', () => cluster.token(own(), { 'kubernetes.io': undefined })],
    ['a claim of Kubernetes that is a text', () => cluster.token(own(), { 'kubernetes.io': 'team-a' })],
    ['no end', () => cluster.token(own(), { exp: undefined })],
    ['no beginning', () => cluster.token(own(), { iat: undefined })],
    ['a life of a year', () => cluster.token(own(), { exp: seconds(365 * 86_400) })],
    ['an end that is a text', () => cluster.token(own(), { exp: 'never' as unknown as number })],
    ['a time that has not come', () => cluster.token(own(), { nbf: seconds(600) })],
    [
      'an algorithm that is not pinned',
      async () => {
        const pair = await elsewhere.issuer.addKey('es-384', 'ES384');
        cluster.issuer.keys.set('es-384', pair);
        return cluster.issuer.token(cluster.claims(own()), { kid: 'es-384' });
      },
    ],
    ['nine kilobytes', () => cluster.token(own(), { filling: 'x'.repeat(7_000) })],
    ['half a token', async () => (await cluster.token(own())).slice(0, -30)],
    ['no token at all', async () => 'eyJhbGciOiJFUzI1NiJ9'],
  ])('is refused for %s, and nothing arrives', async (_what, make) => {
    const arrived = rig.sink().requests.length;
    expect(await use(await make())).toEqual([407, 'key_invalid']);
    expect(rig.sink().requests.length).toBe(arrived);
  });

  it('is refused from the second on in which its token ends, on connections that are open as well', async () => {
    const token = await cluster.token(own(), { exp: seconds(120) });
    const opened = await tunnel(token);
    if (opened.kind !== 'open') throw new Error(opened.kind);
    const ask = async () => {
      opened.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n\r\n`);
      const { status, headers } = await opened.reader.next();
      return [status, headers['x-alter-error']];
    };
    try {
      expect(await ask()).toEqual([200, undefined]);
      offsetMs = 121_000;
      expect(await use(token)).toEqual([407, 'key_expired']);
      expect(await ask()).toEqual([407, 'key_expired']);
    } finally {
      offsetMs = 0;
      opened.socket.destroy();
    }
  });

  it('does not prove a user: no identity provider of the app signs it', async () => {
    const token = await cluster.token(own());
    const { key } = await rig.mintKey();
    const { code } = await rig.curl(
      [
        '-D',
        '-',
        '-H',
        `X-Alter-Grant: ${secret.grantId}`,
        '-H',
        `X-Alter-User-Token: ${token}`,
        `https://${rig.authorityOf()}/`,
      ],
      { key },
    );
    expect(code).toBe(0);
    const { items } = await rig.admin<{ items: unknown[] }>('GET', '/users');
    expect(items).toEqual([]);
  });

  it('tells one account from another that nobody mapped no more than from one of another app', async () => {
    const said = async (token: string): Promise<string> => {
      const opened = await tunnel(token);
      if (opened.kind !== 'refused') throw new Error(opened.kind);
      return JSON.stringify({ ...JSON.parse(opened.answer.body), request_id: '' });
    };
    const answers = [
      await said(await cluster.token({ ...own(), account: 'nobody' })),
      await said(await cluster.token({ ...own(), account: 'billing' })),
      await said(await cluster.token({ appId: otherApp })),
      await said(await cluster.token({ appId: issueId(Date.now()) })),
    ];
    expect(new Set(answers).size).toBe(1);
  });
});

describe('a workload identity', () => {
  it('that is of an agent has the grants of this agent and no others', async () => {
    const agent = await rig.admin<{ id: string }>('POST', '/agents', { name: 'crawler' });
    await cluster.register(rig, { service_account: 'crawler', agent_id: 'crawler' });
    const token = await cluster.token({ ...own(), account: 'crawler' });
    const [status] = await use(token); // the grant of the system is not an agent's, so that nothing is injected
    expect(String(status)).not.toContain(secret.canary);
    await rig.admin('POST', `/managed-secrets/${secret.id}/grants`, {
      principal_type: 'agent',
      agent_id: agent.id,
      label: 'crawler',
    });
    await eventually(async () => (await use(token))[0] === `Bearer ${secret.canary}`);
    await rig.admin('POST', `/agents/${agent.id}/revoke`, {});
    await eventually(async () => (await use(token))[0] !== `Bearer ${secret.canary}`);
  });

  it('is bound to networks and rates as a key is', async () => {
    await cluster.register(rig, { service_account: 'far', cidr: ['192.0.2.0/24'] });
    const [status] = await use(await cluster.token({ ...own(), account: 'far' }));
    expect(status).toBe(403);
    await cluster.register(rig, { service_account: 'slow', rate_limit_rpm: 1 });
    const slow = await cluster.token({ ...own(), account: 'slow' });
    expect(await use(slow)).toEqual([`Bearer ${secret.canary}`]);
    expect(await use(slow)).toEqual([429, 'rate_limited']);
  });

  it('ends with its deletion, on connections that are open as well', async () => {
    const id = await cluster.register(rig, { service_account: 'short' });
    const token = await cluster.token({ ...own(), account: 'short' });
    const opened = await tunnel(token);
    if (opened.kind !== 'open') throw new Error(opened.kind);
    await rig.admin('DELETE', `/workload-identities/${id}`);
    await eventually(async () => (await use(token))[0] === 407);
    opened.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n\r\n`);
    expect((await opened.reader.next()).status).toBe(407);
    opened.socket.destroy();
  });

  it('is there once for an account of a cluster, and can not be changed', async () => {
    await expect(cluster.register(rig)).rejects.toThrow(/409/);
    await expect(rig.admin('PATCH', `/workload-identities/${identityId}`, { namespace: 'x' })).rejects.toThrow(/405/);
  });

  it('is another for every cluster', async () => {
    await elsewhere.register(rig, { name: 'the same names elsewhere' });
    expect(await use(await elsewhere.token(own()))).toEqual([`Bearer ${secret.canary}`]);
  });
});

describe('a sidecar with the token of its pod', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-token-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it('lets its workload in without a key, and takes another token as soon as it is there', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, 'not yet');
    const sidecar = await Rig.open({
      sinks: ['a.test', 'cluster.test'],
      settings: { ALTER_WORKLOAD_TOKEN_FILE: path },
    });
    try {
      const its = await TestCluster.open(sidecar, 'cluster.test');
      const stored = await sidecar.storeSecret({ hosts: [sidecar.authorityOf()] });
      await its.register(sidecar);
      const curl = (user: string) => sidecar.curl(['-D', '-', `https://${sidecar.authorityOf()}/`], { key: '', user });
      expect((await curl('auto')).stdout).toContain('key_invalid');
      writeFileSync(path, `${await its.token({ appId: sidecar.appId })}\n`);
      await eventually(async () => (await curl('auto')).stdout.includes('200'));
      expect(sidecar.sink().requests.at(-1)?.all('authorization')).toEqual([`Bearer ${stored.canary}`]);
      const wrong = await sidecar.curl([`https://${sidecar.authorityOf()}/`, '-D', '-'], { key: 'alter_rk_wrong' });
      expect(wrong.stdout).toContain('key_invalid'); // a key that is shown is looked at
    } finally {
      await sidecar.close();
    }
  });

  it('must listen on loopback', () => {
    const settings = { ALTER_WORKLOAD_TOKEN_FILE: '/token', ALTER_PROXY_LISTEN: '0.0.0.0:3128' };
    expect(() => parseConfig(settings)).toThrow(/ALTER_WORKLOAD_TOKEN_FILE/);
  });
});
