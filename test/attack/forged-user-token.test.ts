import { createHmac, createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CompactEncrypt, exportPKCS8, exportSPKI, generateKeyPair, importJWK } from 'jose';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * Being somebody else. The grant is a user's; whoever makes the proxy believe a token of their own making has the
 * credential. The first line of the table is a token that is good, so that what is refused is refused for its fault.
 */

type Signer = (input: string) => Buffer | Promise<Buffer>;
interface Forged {
  readonly header?: unknown;
  readonly claims?: unknown;
  readonly sign?: Signer;
}

let rig: Rig;
let provider: TestIdentityProvider;
let idpId: string;
let secret: StoredSecret;
let grantId: string;
let key: string;
let ecPem: string;
let rsaPem: string;
let rsaSpki: string;
let offsetMs = 0;
const clock = () => Date.now() + offsetMs;

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(clock() / 1_000);
const es256: Signer = (input) =>
  signBytes('sha256', Buffer.from(input), { key: createPrivateKey(ecPem), dsaEncoding: 'ieee-p1363' });
const rs256: Signer = (input) => signBytes('sha256', Buffer.from(input), createPrivateKey(rsaPem));
const hmac =
  (secretBytes: () => string | Buffer, hash = 'sha256'): Signer =>
  (input) =>
    createHmac(hash, secretBytes()).update(input).digest();
const nothing: Signer = () => Buffer.alloc(0);
const bytes = (length: number, fill = 0): Signer => {
  return () => Buffer.alloc(length, fill);
};

/** A token by hand. Header and claims may be text, so that they can be JSON that no library would write. */
async function forge({ header, claims, sign = es256 }: Forged = {}): Promise<string> {
  const input = `${encode(header ?? { alg: 'ES256', kid: 'es-1' })}.${encode(claims ?? provider.claims())}`;
  return `${input}.${(await sign(input)).toString('base64url')}`;
}
const withClaims = (over: Readonly<Record<string, unknown>>) => () => forge({ claims: provider.claims(over) });
const withHeader = (over: Readonly<Record<string, unknown>>, sign: Signer = es256) => {
  return () => forge({ header: { alg: 'ES256', kid: 'es-1', ...over }, sign });
};
/** The claims as text, with one put in as it stands. */
const withRawClaim = (text: string, without: readonly string[] = []) => {
  return () => {
    const claims = Object.entries(provider.claims()).filter(([name]) => !without.includes(name));
    return forge({ claims: `${JSON.stringify(Object.fromEntries(claims)).slice(0, -1)},${text}}` });
  };
};

async function ask(token: string | null, more: readonly string[] = []): Promise<RawResponse> {
  const tunnel = await mustOpen({
    proxyPort: rig.proxyPort,
    target: rig.authorityOf(),
    key,
    serverName: 'a.test',
    ca: rig.service.authorityPem,
  });
  const lines = [
    'GET /p HTTP/1.1',
    `Host: ${rig.authorityOf()}`,
    `X-Alter-Grant: ${grantId}`,
    ...(token === null ? [] : [`X-Alter-User-Token: ${token}`]),
    ...more,
  ];
  tunnel.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const answer = await tunnel.reader.next();
  tunnel.socket.destroy();
  return answer;
}

const hostile: readonly (readonly [title: string, make: () => string | Promise<string>])[] = [
  // What signs
  ['alg none, without a signature', () => forge({ header: { alg: 'none', kid: 'es-1' }, sign: nothing })],
  ['alg none, with a signature', withHeader({ alg: 'none' })],
  ['alg None', withHeader({ alg: 'None' }, nothing)],
  ['alg nOnE', withHeader({ alg: 'nOnE' }, bytes(64))],
  ['alg NONE with a space', withHeader({ alg: 'NONE ' }, bytes(64))],
  ['no alg', () => forge({ header: { kid: 'es-1' } })],
  ['alg as a number', withHeader({ alg: 256 })],
  ['alg as a list', withHeader({ alg: ['ES256'] })],
  ['alg null', withHeader({ alg: null })],
  ['alg es256 in small letters', withHeader({ alg: 'es256' })],
  [
    'HS256 with the RSA public key as PEM',
    withHeader(
      { alg: 'HS256', kid: 'rs-1' },
      hmac(() => rsaSpki),
    ),
  ],
  [
    'HS384 with the RSA public key',
    withHeader(
      { alg: 'HS384', kid: 'rs-1' },
      hmac(() => rsaSpki, 'sha384'),
    ),
  ],
  [
    'HS512 with the RSA public key',
    withHeader(
      { alg: 'HS512', kid: 'rs-1' },
      hmac(() => rsaSpki, 'sha512'),
    ),
  ],
  [
    'HS256 with the key set itself',
    withHeader(
      { alg: 'HS256' },
      hmac(() => JSON.stringify(jwkOf('es-1'))),
    ),
  ],
  [
    'HS256 with an empty key',
    withHeader(
      { alg: 'HS256' },
      hmac(() => ''),
    ),
  ],
  ['an algorithm that the provider does not sign with', withHeader({ alg: 'PS256', kid: 'rs-1' }, rs256)],
  ['an EC key under RS256', withHeader({ alg: 'RS256' })],
  ['an RSA key under ES256', withHeader({ alg: 'ES256', kid: 'rs-1' }, rs256)],
  ['an empty signature', withHeader({}, nothing)],
  ['a signature of zeros', withHeader({}, bytes(64))],
  ['a signature of ones', withHeader({}, bytes(64, 255))],
  ['a signature of zeros, one byte short', withHeader({}, bytes(63))],
  ['an RSA signature of zeros', withHeader({ alg: 'RS256', kid: 'rs-1' }, bytes(256))],
  ['a signature in DER', withHeader({}, (input) => signBytes('sha256', Buffer.from(input), createPrivateKey(ecPem)))],
  ["a stranger's key under a known kid", async () => provider.token({}, { by: await stranger() })],
  ["another token's signature", async () => graft(await provider.token(), await provider.token({ sub: 'bob' }))],
  ['claims that were changed after signing', async () => swapClaims(await provider.token({ sub: 'bob' }))],
  ['a header that was changed after signing', async () => swapHeader(await provider.token())],
  // Where the key comes from
  ['an unknown kid', withHeader({ kid: 'es-2' })],
  ['a kid that is a path', withHeader({ kid: '../../dev/null' }, bytes(64))],
  ['a kid that is SQL', withHeader({ kid: "' OR 1=1 --" })],
  ['a kid that is __proto__', withHeader({ kid: '__proto__' })],
  ['a kid that is constructor', withHeader({ kid: 'constructor' })],
  ['a kid that is an object', withHeader({ kid: { toString: 'es-1' } })],
  ['a kid that is a list', withHeader({ kid: ['es-1'] })],
  ['a kid of 3 KiB', withHeader({ kid: 'k'.repeat(3_000) })],
  ['no kid where several keys fit', noKidAmongTwo],
  ['a key of its own (jwk)', ownKey],
  ['a key set of its own (jku)', withHeader({ jku: 'https://evil.test/jwks' })],
  ["the provider's own key set (jku)", () => forge({ header: { alg: 'ES256', kid: 'es-1', jku: provider.jwksUrl } })],
  ['a certificate of its own (x5u)', withHeader({ x5u: 'https://evil.test/cert' })],
  ['a certificate in it (x5c)', withHeader({ x5c: ['MIIB'] })],
  ['a critical extension (crit)', withHeader({ crit: ['exp'], exp: 1 })],
  ['an empty crit', withHeader({ crit: [] })],
  ['claims that are not encoded (b64)', withHeader({ b64: false, crit: ['b64'] })],
  ['b64 without crit', withHeader({ b64: false })],
  ['compression', withHeader({ zip: 'DEF' })],
  ['a type that is for a logout', withHeader({ typ: 'logout+jwt' })],
  ['a type that is a number', withHeader({ typ: 1 })],
  // What it is
  ['an encrypted token', encrypted],
  ['two parts', async () => (await provider.token()).split('.').slice(0, 2).join('.')],
  ['four parts', async () => `${await provider.token()}.x`],
  ['an empty header', async () => (await provider.token()).replace(/^[^.]*/, '')],
  ['nothing', () => ''],
  ['a word', () => 'token'],
  ['the word Bearer in front', async () => `Bearer ${await provider.token()}`],
  ['plain base64 instead of base64url', async () => `${(await provider.token()).slice(0, -1)}=`],
  ['a byte of base64 too many', async () => `${await provider.token()}A`],
  ['a header that is a list', () => forge({ header: '["ES256"]' })],
  ['a header that is no JSON', () => forge({ header: '{alg:ES256}' })],
  ['claims that are a list', () => forge({ claims: [provider.claims()] })],
  ['claims that are null', () => forge({ claims: 'null' })],
  ['claims that are not UTF-8', () => forgeBytes(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
  ['claims nested a hundred levels deep', withRawClaim(`"x":${'['.repeat(100)}${']'.repeat(100)}`)],
  ['alg twice in the header', () => forge({ header: '{"alg":"none","kid":"es-1","alg":"ES256"}' })],
  ['sub twice', withRawClaim('"sub":"bob"')],
  ['sub twice, once with an escape', withRawClaim('"\\u0073ub":"bob"')],
  ['two aud', withRawClaim('"aud":"other"')],
  // Who it is for, who made it, and when
  ['another audience', withClaims({ aud: 'https://other.example.test' })],
  ['no audience', withClaims({ aud: undefined })],
  ['an audience in other letters', () => forge({ claims: provider.claims({ aud: provider.audience.toUpperCase() }) })],
  ['an audience that only begins right', () => forge({ claims: provider.claims({ aud: `${provider.audience}/x` }) })],
  ['a list of other audiences', withClaims({ aud: ['https://other.example.test'] })],
  ['an empty list of audiences', withClaims({ aud: [] })],
  ['the audience in a list in a list', () => forge({ claims: provider.claims({ aud: [[provider.audience]] }) })],
  ['the audience beside a number', () => forge({ claims: provider.claims({ aud: [provider.audience, 1] }) })],
  ['an audience that is an object', () => forge({ claims: provider.claims({ aud: { 0: provider.audience } }) })],
  ['another issuer', withClaims({ iss: 'https://evil.test' })],
  ['the issuer with a slash', () => forge({ claims: provider.claims({ iss: `${provider.issuer}/` }) })],
  ['an issuer that is a list', () => forge({ claims: provider.claims({ iss: [provider.issuer] }) })],
  ['no issuer', withClaims({ iss: undefined })],
  ['an end in the past', () => forge({ claims: provider.claims({ exp: now() - 61 }) })],
  ['no end', withClaims({ exp: undefined })],
  ['an end that is a text', () => forge({ claims: provider.claims({ exp: String(now() + 600) }) })],
  ['an end that is NaN', withRawClaim('"exp":NaN', ['exp'])],
  ['an end that is infinite', withRawClaim('"exp":1e309', ['exp'])],
  ['an end that is null', withClaims({ exp: null })],
  ['an end that is true', withClaims({ exp: true })],
  ['an end before the epoch', withClaims({ exp: -1 })],
  ['an end beyond all numbers', withClaims({ exp: 1e300 })],
  ['a start that is to come', () => forge({ claims: provider.claims({ nbf: now() + 120 }) })],
  ['a start that is a text', withClaims({ nbf: '0' })],
  ['a time of issue that is to come', () => forge({ claims: provider.claims({ iat: now() + 120 }) })],
  ['no subject', withClaims({ sub: undefined })],
  ['an empty subject', withClaims({ sub: '' })],
  ['a subject that is a number', withClaims({ sub: 1 })],
  ['a subject that is an object', withClaims({ sub: { id: 'ada' } })],
  ['a subject of 2 KiB', withClaims({ sub: 'a'.repeat(2_000) })],
  ['groups that are numbers', withClaims({ groups: [1, 2] })],
  ['groups that are an object', withClaims({ groups: { support: true } })],
  ['300 groups', withClaims({ groups: Array.from({ length: 300 }, (_, n) => `g${n}`) })],
  ['more than 8 KiB', withClaims({ padding: 'x'.repeat(8_000) })],
];

function jwkOf(kid: string): unknown {
  return provider.keys.get(kid)!.publicJwk;
}

async function stranger() {
  const { privateKey } = await generateKeyPair('ES256');
  return { algorithm: 'ES256', privateKey, publicJwk: {} };
}

function graft(token: string, other: string): string {
  return [...token.split('.').slice(0, 2), other.split('.')[2]].join('.');
}

function swapClaims(token: string): string {
  const [header, , signature] = token.split('.');
  return [header, encode(provider.claims()), signature].join('.');
}

function swapHeader(token: string): string {
  const [, claims, signature] = token.split('.');
  return [encode({ alg: 'ES256', kid: 'es-1', typ: 'at+jwt' }), claims, signature].join('.');
}

async function noKidAmongTwo(): Promise<string> {
  return forge({ header: { alg: 'ES256' } });
}

async function ownKey(): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const pem = await exportPKCS8(privateKey);
  const jwk = createPublicKey(await exportSPKI(publicKey)).export({ format: 'jwk' });
  return forge({
    header: { alg: 'ES256', kid: 'es-1', jwk },
    sign: (input) => signBytes('sha256', Buffer.from(input), { key: createPrivateKey(pem), dsaEncoding: 'ieee-p1363' }),
  });
}

async function encrypted(): Promise<string> {
  const publicKey = await importJWK({ ...provider.keys.get('rs-1')!.publicJwk }, 'RSA-OAEP');
  return new CompactEncrypt(Buffer.from(JSON.stringify(provider.claims())))
    .setProtectedHeader({ alg: 'RSA-OAEP', enc: 'A256GCM' })
    .encrypt(publicKey);
}

async function forgeBytes(claims: Buffer): Promise<string> {
  const input = `${encode({ alg: 'ES256', kid: 'es-1' })}.${claims.toString('base64url')}`;
  return `${input}.${(await es256(input)).toString('base64url')}`;
}

beforeAll(async () => {
  rig = await Rig.open({ sinks: ['a.test', 'idp.test'], clock });
  provider = await TestIdentityProvider.open(rig, 'idp.test', clock);
  await provider.addKey('rs-1', 'RS256');
  await provider.addKey('es-spare', 'ES256');
  ecPem = await exportPKCS8(provider.keys.get('es-1')!.privateKey);
  rsaPem = await exportPKCS8(provider.keys.get('rs-1')!.privateKey);
  rsaSpki = createPublicKey(rsaPem).export({ format: 'pem', type: 'spki' }).toString();
  idpId = await provider.register(rig);
  secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  const user = await rig.admin<{ id: string }>('POST', '/users', { idp_id: idpId, external_id: 'ada' });
  const grant = await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${secret.id}/grants`, {
    principal_type: 'user',
    app_user_id: user.id,
    label: "ada's",
  });
  grantId = grant.grant_id;
  key = (await rig.mintKey()).key;
});
afterAll(() => rig.close());

describe('a forged user token', () => {
  beforeEach(() => rig.sink().forget());

  it('is told from a good one: those are let through, also with an RSA key and by hand', async () => {
    for (const token of [
      await provider.token(),
      await provider.token({}, { kid: 'rs-1' }),
      await forge(),
      await provider.token({ aud: ['https://other.example.test', provider.audience] }),
      await provider.token({ exp: now() - 50 }), // within the leeway for clocks
      await provider.token({ groups: 'support, ops' }),
      await provider.token({}, { header: { typ: 'at+jwt' } }),
    ]) {
      expect(await ask(token)).toMatchObject({ status: 200, body: 'ok' });
    }
    const [request] = rig.sink().requests;
    expect(request!.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    expect(rig.sink().raw.toString('latin1').toLowerCase()).not.toContain('x-alter');
  });

  it('is tried in more than sixty ways', () => {
    expect(hostile.length).toBeGreaterThan(60);
    expect(new Set(hostile.map(([title]) => title)).size).toBe(hostile.length);
  });

  it.each(hostile)('with %s is refused before anything is connected', async (_title, make) => {
    const token = await make();
    const answer = await ask(token);
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'user_token_invalid']);
    expect(rig.sink().accepts).toBe(0);
    if (token.length > 20) expect(answer.body).not.toContain(token.split('.')[1]!.slice(0, 20) || token);
  });

  it('is refused twice, beside a good one, and missing', async () => {
    const good = await provider.token();
    expect((await ask(good, [`X-Alter-User-Token: ${good}`])).headers['x-alter-error']).toBe('user_token_invalid');
    expect((await ask(null)).headers['x-alter-error']).toBe('user_token_invalid');
    expect(rig.sink().accepts).toBe(0);
  });

  it('of another user is a good token for the wrong grant', async () => {
    const answer = await ask(await provider.token({ sub: 'bob' }));
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([403, 'principal_mismatch']);
    expect(rig.sink().accepts).toBe(0);
  });

  it('never stands in the log, in the audit, or in an answer', async () => {
    const token = await provider.token({ sub: 'carol-of-the-log' });
    await ask(token);
    await ask(token.slice(0, -4));
    const audit = JSON.stringify(await rig.admin('GET', '/audit?limit=50'));
    for (const part of token.split('.').slice(1)) {
      expect(rig.logText).not.toContain(part.slice(0, 30));
      expect(audit).not.toContain(part.slice(0, 30));
    }
  });
});

describe('the keys of an identity provider', () => {
  const codeOf = async (token: string) => (await ask(token)).headers['x-alter-error'] ?? 'none';

  it('are fetched at most twice for a thousand unknown key ids', async () => {
    offsetMs += 31_000;
    const before = provider.fetches;
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    for (let n = 0; n < 1_000; n++) {
      const token = await forge({ header: { alg: 'ES256', kid: `made-up-${n}` }, sign: bytes(64, 1) });
      tunnel.socket.write(
        `GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${grantId}\r\nX-Alter-User-Token: ${token}\r\n\r\n`,
      );
      expect((await tunnel.reader.next()).status).toBe(403);
    }
    tunnel.socket.destroy();
    expect(provider.fetches - before).toBeLessThanOrEqual(2);
  });

  it('that are new are found within half a minute, and those that are gone are refused within ten', async () => {
    const old = await provider.token({}, { kid: 'rs-1' });
    expect(await codeOf(old)).toBe('none');
    await provider.addKey('es-new', 'ES256');
    offsetMs += 31_000;
    expect(await codeOf(await provider.token({}, { kid: 'es-new' }))).toBe('none');

    provider.keys.delete('rs-1');
    offsetMs += 10 * 60_000 + 1_000;
    // Both: one that was verified before, and is remembered, and one that is new.
    const long = await forge({
      header: { alg: 'RS256', kid: 'rs-1' },
      claims: provider.claims({ exp: now() + 3_600 }),
      sign: rs256,
    });
    expect(await codeOf(long)).toBe('user_token_invalid');
  });

  it('are no longer good for a token that was let through before, once they are gone', async () => {
    const pair = await provider.addKey('es-short', 'ES256');
    offsetMs += 31_000;
    const token = await provider.token({ exp: now() + 7_200 }, { kid: 'es-short' });
    expect(await codeOf(token)).toBe('none');
    provider.keys.delete('es-short');
    offsetMs += 10 * 60_000 + 1_000;
    expect(await codeOf(token)).toBe('user_token_invalid');

    // Nor where another key took its name.
    provider.keys.set('es-short', pair);
    offsetMs += 31_000;
    expect(await codeOf(token)).toBe('none');
    await provider.addKey('es-short', 'ES256');
    offsetMs += 10 * 60_000 + 1_000;
    expect(await codeOf(token)).toBe('user_token_invalid');
  });

  it('go on for an hour while the provider is down, and not longer', async () => {
    const token = await provider.token({ exp: now() + 3 * 3_600 });
    expect(await codeOf(token)).toBe('none');
    provider.answerInstead = (res) => res.destroy();
    offsetMs += 50 * 60_000;
    expect(await codeOf(token)).toBe('none');
    expect(await codeOf(await provider.token({ jti: 'another' }))).toBe('none');
    offsetMs += 11 * 60_000;
    expect(await codeOf(token)).toBe('user_token_invalid');
    provider.answerInstead = null;
    offsetMs += 6_000;
    expect(await codeOf(token)).toBe('none');
  });

  it.each([
    ['a redirect', (res) => res.writeHead(302, { location: '/elsewhere' }).end()],
    ['a page', (res) => res.end('<html>')],
    ['more than 64 KiB', (res) => res.end(JSON.stringify({ keys: [], padding: 'x'.repeat(70_000) }))],
    ['another form', (res) => res.end('{"keys":{"es-1":{}}}')],
    ['keys twice', (res) => res.end('{"keys":[],"keys":[]}')],
    ['an error', (res) => res.writeHead(500).end()],
  ] as const satisfies readonly (readonly [string, NonNullable<TestIdentityProvider['answerInstead']>])[])(
    'are not taken from %s',
    async (_title, answer) => {
      provider.answerInstead = answer;
      offsetMs += 70 * 60_000; // what was remembered is too old
      expect(await codeOf(await provider.token())).toBe('user_token_invalid');
      provider.answerInstead = null;
      offsetMs += 6_000;
      expect(await codeOf(await provider.token())).toBe('none');
    },
  );

  it('are not fetched from where the proxy may not go, nor without TLS', async () => {
    const other = 'https://issuer.example.test';
    for (const jwksUrl of ['https://127.0.0.1:1/jwks', 'https://localhost/jwks', 'https://[::1]/jwks']) {
      const { id } = await rig.admin<{ id: string }>('POST', '/identity-providers', {
        name: 'inside',
        issuer: other,
        audience: provider.audience,
        jwks_url: jwksUrl,
        algorithms: ['ES256'],
      });
      expect(await codeOf(await forge({ claims: provider.claims({ iss: other }) }))).toBe('user_token_invalid');
      await rig.admin('DELETE', `/identity-providers/${id}`);
    }
    expect(rig.logText).toContain('address_forbidden');
    const plain = { name: 'x', issuer: other, audience: 'x', jwks_url: 'http://idp.test/jwks' };
    await rig.admin('POST', '/identity-providers', plain, [422]);
  });
});
