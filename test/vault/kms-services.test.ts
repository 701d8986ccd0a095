import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../core/config.ts';
import { openKms } from '../../serve/kms.ts';
import { webIdentity } from '../../vault/keys/aws-identity.ts';
import type { Kms } from '../../vault/keys/kms.ts';
import { openAwsKms } from '../../vault/keys/kms-aws.ts';
import { KmsHttp } from '../../vault/keys/kms-http.ts';
import { openTransitKms } from '../../vault/keys/kms-transit.ts';
import { kmsContract } from '../contract/kms.ts';
import { FakeAwsKms } from '../support/fake-aws-kms.ts';
import { FakeVaultTransit } from '../support/fake-vault-transit.ts';
import { TestAuthority } from '../support/sink.ts';

const context = Buffer.from('the key of app 1');
const appKey = randomBytes(32);
const unavailable = expect.objectContaining({ code: 'kms_unavailable' });
const clock = Date.now;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'alter-kms-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** As the service opens it, from its settings. */
async function openFromSettings(settings: Readonly<Record<string, string>>): Promise<Kms> {
  return (await openKms({ config: parseConfig(settings), rootKey: null, clock })).current;
}

function awsSettings(fake: FakeAwsKms, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    ALTER_KMS_URL: `awskms://${fake.region}/alias/alter?endpoint=${fake.url}`,
    ALTER_KMS_CA: fake.authority.material.certificatePem,
    ALTER_KMS_AWS_ACCESS_KEY_ID: 'AKIDFORKMSEXAMPLE',
    ALTER_KMS_AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    ...more,
  };
}

kmsContract('AWS KMS', async () => {
  const fake = await FakeAwsKms.open();
  return {
    kms: await openFromSettings(awsSettings(fake)),
    again: await openFromSettings(awsSettings(fake)),
    other: await openFromSettings(
      awsSettings(fake, { ALTER_KMS_URL: `awskms://${fake.region}/alias/other?endpoint=${fake.url}` }),
    ),
    close: () => fake.close(),
  };
});

kmsContract('the transit engine of Vault', async () => {
  const fake = await FakeVaultTransit.open();
  const open = (key: string) =>
    openFromSettings({
      ALTER_KMS_URL: `vault+${fake.origin}/transit/${key}`,
      ALTER_KMS_CA: fake.authority.material.certificatePem,
      ALTER_KMS_TOKEN_FILE: file('token', 'hvs.first\n'),
    });
  return {
    kms: await open('alter'),
    again: await open('alter'),
    other: await open('other'),
    close: () => fake.close(),
  };
});

describe('AWS KMS', () => {
  let fake: FakeAwsKms;
  beforeAll(async () => {
    fake = await FakeAwsKms.open();
  });
  afterEach(() => {
    fake.instead.length = 0;
    fake.sink.forget();
  });
  afterAll(() => fake.close());

  const open = (of: { ca?: string | null; answerWithinMs?: number; secretAccessKey?: string } = {}): Kms =>
    openAwsKms({
      at: { kind: 'aws', region: fake.region, keyId: 'alias/alter', endpoint: fake.url, stsEndpoint: null },
      identity: {
        credentials: async () => ({
          accessKeyId: 'AKIDFORKMSEXAMPLE',
          secretAccessKey: of.secretAccessKey ?? 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
          sessionToken: null,
        }),
      },
      http: new KmsHttp({
        ca: of.ca === undefined ? fake.authority.material.certificatePem : of.ca,
        ...(of.answerWithinMs === undefined ? {} : { answerWithinMs: of.answerWithinMs }),
      }),
      clock,
    });

  it('is used with the context as encryption context, and the app key in no other field', async () => {
    await open().wrap(appKey, context);
    const [request] = fake.sink.requests;
    expect(JSON.parse(request!.body.toString())).toEqual({
      KeyId: 'alias/alter',
      Plaintext: appKey.toString('base64'),
      EncryptionContext: { 'alter-egress': context.toString('base64') },
    });
    expect(request!.all('x-amz-target')).toEqual(['TrentService.Encrypt']);
  });

  it('is asked again where it is overloaded or broken, and no more than three times', async () => {
    const kms = open();
    fake.fail(500, 'KMSInternalException');
    fake.fail(400, 'ThrottlingException');
    const wrapped = await kms.wrap(appKey, context);
    expect(fake.sink.requests).toHaveLength(3);
    fake.sink.forget();
    for (let i = 0; i < 4; i++) fake.fail(503, 'ServiceUnavailable');
    await expect(kms.unwrap(wrapped, context)).rejects.toEqual(unavailable);
    expect(fake.sink.requests).toHaveLength(3);
  });

  it('ends typed, and says nothing of what was sent, where it refuses, hangs, lies or is somebody else', async () => {
    const wrapped = await open().wrap(appKey, context);
    const failures: unknown[] = [];
    const expectUnavailable = async (answer: Promise<unknown>) => {
      await expect(answer).rejects.toEqual(unavailable);
      failures.push(await answer.catch((error: Error) => `${error.message} ${JSON.stringify(error)}`));
    };
    await expectUnavailable(open({ secretAccessKey: 'wrong' }).unwrap(wrapped, context));
    fake.fail(400, 'AccessDeniedException');
    await expectUnavailable(open().unwrap(wrapped, context));
    fake.fail(400, 'DisabledException');
    await expectUnavailable(open().wrap(appKey, context));
    fake.instead.push((res) => res.end('{"CiphertextBlob": 7}'));
    await expectUnavailable(open().wrap(appKey, context));
    fake.instead.push((res) => res.end('<html>'));
    await expectUnavailable(open().unwrap(wrapped, context));
    fake.instead.push((res) => res.writeHead(302, { location: 'https://elsewhere.test/' }).end());
    await expectUnavailable(open().unwrap(wrapped, context));
    for (let i = 0; i < 3; i++) fake.instead.push((res) => res.end('x'.repeat(100_000)));
    await expectUnavailable(open().unwrap(wrapped, context));
    for (let i = 0; i < 3; i++) fake.instead.push(() => {});
    await expectUnavailable(open({ answerWithinMs: 200 }).unwrap(wrapped, context));
    const before = fake.sink.requests.length;
    await expectUnavailable(open({ ca: (await TestAuthority.create()).material.certificatePem }).wrap(appKey, context));
    await expectUnavailable(open({ ca: null }).wrap(appKey, context));
    expect(fake.sink.requests).toHaveLength(before); // nothing is said to whom TLS does not prove
    for (const said of failures) expect(said).not.toContain(appKey.toString('base64').slice(0, 12));
  });

  it('is reached as a role, with a token that is exchanged once an hour and read anew', async () => {
    fake.webIdentityToken = 'token-1';
    const path = file('web-identity', 'token-1\n');
    let now = Date.now();
    const http = new KmsHttp({ ca: fake.authority.material.certificatePem });
    const identity = webIdentity({
      roleArn: 'arn:aws:iam::1:role/alter',
      tokenFile: path,
      url: fake.url,
      http,
      clock: () => now,
    });
    const kms = openAwsKms({
      at: { kind: 'aws', region: fake.region, keyId: 'alias/alter', endpoint: fake.url, stsEndpoint: null },
      identity,
      http,
      clock,
    });
    await Promise.all(Array.from({ length: 5 }, () => kms.wrap(appKey, context)));
    expect(fake.exchanges).toBe(1);
    now += 3_600_000;
    await expect(kms.wrap(appKey, context)).resolves.toBeDefined();
    expect(fake.exchanges).toBe(2);
    fake.webIdentityToken = 'token-2';
    now += 3_600_000;
    await expect(kms.wrap(appKey, context)).rejects.toEqual(unavailable);
    file('web-identity', 'token-2');
    await expect(kms.wrap(appKey, context)).resolves.toBeDefined();
  });
});

describe('the transit engine', () => {
  let fake: FakeVaultTransit;
  beforeAll(async () => {
    fake = await FakeVaultTransit.open();
  });
  afterEach(() => {
    fake.instead.length = 0;
    fake.sink.forget();
  });
  afterAll(() => fake.close());

  const open = (login: Parameters<typeof openTransitKms>[0]['login'], now: () => number = clock): Kms =>
    openTransitKms({
      at: { kind: 'transit', origin: fake.origin, mount: 'transit', keyName: 'alter' },
      login,
      http: new KmsHttp({ ca: fake.authority.material.certificatePem }),
      clock: now,
    });

  it('is used with a token that may be renewed under the same path', async () => {
    const path = file('renewed', 'hvs.first');
    const kms = open({ kind: 'token', file: path });
    const wrapped = await kms.wrap(appKey, context);
    fake.tokens.delete('hvs.first');
    fake.tokens.add('hvs.second');
    await expect(kms.unwrap(wrapped, context)).rejects.toEqual(unavailable);
    file('renewed', 'hvs.second');
    expect(Buffer.from(await kms.unwrap(wrapped, context))).toEqual(appKey);
    rmSync(path);
    fake.tokens.delete('hvs.second');
    await expect(kms.unwrap(wrapped, context)).rejects.toEqual(unavailable);
    fake.tokens.add('hvs.first');
  });

  it('is used as a service account of Kubernetes, which signs in again before its token ends, and when it was revoked', async () => {
    fake.roles.set('alter', 'jwt-1');
    let now = Date.now();
    const kms = open({ kind: 'kubernetes', role: 'alter', tokenFile: file('jwt', 'jwt-1') }, () => now);
    await Promise.all(Array.from({ length: 5 }, () => kms.wrap(appKey, context)));
    expect(fake.logins).toBe(1);
    now += 3_000_000;
    await kms.wrap(appKey, context);
    expect(fake.logins).toBe(2);
    fake.tokens.clear();
    await kms.wrap(appKey, context);
    expect(fake.logins).toBe(3);
    const stranger = open({ kind: 'kubernetes', role: 'nobody', tokenFile: file('jwt', 'jwt-1') });
    await expect(stranger.wrap(appKey, context)).rejects.toEqual(unavailable);
  });

  it('is asked again where it is sealed or overloaded, and no more than three times', async () => {
    fake.tokens.add('hvs.first');
    const kms = open({ kind: 'token', file: file('token', 'hvs.first') });
    fake.fail(503);
    fake.fail(429);
    await expect(kms.wrap(appKey, context)).resolves.toBeDefined();
    for (let i = 0; i < 4; i++) fake.fail(503);
    await expect(kms.wrap(appKey, context)).rejects.toEqual(unavailable);
  });
});
