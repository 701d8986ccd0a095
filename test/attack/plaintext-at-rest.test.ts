import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { issueId } from '../../core/id.ts';
import { issueToken } from '../../core/token.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { SecretValue } from '../../vault/secret-value.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { draftSecret, type FilledVault, fillVault, newKey, startOfTime, token } from '../support/filled-vault.ts';
import { type Redis, startRedis } from '../support/redis.ts';

/** Somebody who can read every byte of the store looks for anything that an operator or a workload said. */
describe('plaintext at rest', () => {
  let filled: FilledVault;
  let redis: Redis | undefined;

  afterEach(async () => {
    await filled.close();
    await redis?.stop();
  });

  /** Puts one of everything into the vault. Returns the words that must not be found, and one that must. */
  async function fill(): Promise<{ secret: Map<string, Buffer>; control: string }> {
    const { vault } = filled;
    const words = new Map<string, Buffer>();
    const canary = (what: string): string => {
      const word = `canary${what}${words.size}x4242`;
      words.set(what, Buffer.from(word));
      return word;
    };
    const digestOf = (what: string, plaintext: string): string => {
      const digest = createHash('sha256').update(plaintext).digest();
      words.set(what, Buffer.from(plaintext));
      words.set(`${what} without its visible part`, Buffer.from(plaintext.slice(-49, -6)));
      words.set(`${what}'s digest`, digest);
      return digest.toString('hex');
    };

    const app = await vault.app((await vault.apps.create({ name: canary('app') })).value.id);
    const host = `${canary('host')}.example.com`;
    const { secret, grant } = await app.secrets.create({
      draft: draftSecret({
        name: canary('secretname'), // its slug is the same word
        description: canary('description'),
        accountIdentifier: canary('account'),
        allowedHosts: [host, `*.${host}`],
      }),
      fields: SecretValue.of({ token: canary('value'), other: canary('othervalue') }),
      baseGrantLabel: canary('label'),
    });
    await app.secrets.rotate(secret.value.id, token(canary('rotatedvalue')));
    await app.grants.update(grant.value.id, (value) => ({ ...value, description: canary('grant') }));
    const runtime = issueToken('runtime', Date.now());
    const digest = digestOf('key', runtime.plaintext);
    await app.keys.create(newKey(app.appId, { id: runtime.id, digest, name: canary('keyname') }));
    const pat = issueToken('pat', Date.now());
    await vault.accessTokens.create({
      id: pat.id,
      name: canary('tokenname'),
      scopes: ['dashboard_secrets:read'],
      appId: null,
      expiresAt: null,
      digest: digestOf('access token', pat.plaintext),
      createdAt: startOfTime,
      revokedAt: null,
    });
    await vault.authority.create({ certificatePem: canary('certificate'), privateKeyPem: canary('privatekey') });
    const log = new AuditLog({ vault, writer: 'proxy', mode: 'strict' });
    const event = {
      id: issueId(startOfTime),
      time: new Date(startOfTime).toISOString(),
      event: 'request.decided',
    } as const;
    const bucket = canary('bucket');
    await log.record({ ...event, app_id: app.appId, host: canary('audithost'), path: canary('auditpath') }, [
      { bucket, requests: 1, perSeconds: 60 },
    ]);
    await log.close();
    words.set('root key', filled.rootKey);

    // The control: what this search would find if it were there.
    const control = 'controlword4242controlword';
    await filled.store.commit('system', [
      { kind: 'put', type: 'control', id: 'x', expectedRevision: 0, body: Buffer.from(control), tags: [], names: [] },
    ]);
    return { secret: words, control };
  }

  /** The word as it stands, as hexadecimal, and as base64 at each of the three places where it can begin. */
  function spellings(word: Buffer): Buffer[] {
    const base64 = [0, 1, 2].map((offset) => {
      const encoded = Buffer.concat([Buffer.alloc(offset), word])
        .toString('base64')
        .replace(/=+$/, '');
      return encoded.slice(offset === 0 ? 0 : offset + 1, -1); // what does not depend on the neighbours
    });
    const texts = [word.toString('hex'), word.toString('hex').toUpperCase(), ...base64];
    return [word, ...texts.map((text) => Buffer.from(text))];
  }

  function expectNothingFound(bytes: Buffer, of: { secret: Map<string, Buffer>; control: string }): void {
    expect(bytes.includes(of.control)).toBe(true);
    const found = [...of.secret].filter(([, word]) => spellings(word).some((spelling) => bytes.includes(spelling)));
    expect(found.map(([what]) => what)).toEqual([]);
    expect(of.secret.size).toBeGreaterThan(20);
  }

  it('is nowhere in the files of the embedded store, open or closed', async () => {
    filled = await fillVault();
    const words = await fill();
    const readFiles = () => {
      const names = readdirSync(filled.folder);
      expect(names).toContain('alter.db');
      return Buffer.concat(names.map((name) => readFileSync(join(filled.folder, name))));
    };
    expectNothingFound(readFiles(), words);
    await filled.store.close();
    expectNothingFound(readFiles(), words);
  });

  it('is nowhere in the keys and values of Redis', async () => {
    redis = await startRedis({ args: ['--rdbcompression', 'no'] }); // so that DUMP hides nothing
    filled = await fillVault(await openRedisStore({ url: redis.url }));
    const words = await fill();
    const client = new RedisClient(redis.url);
    const keys = await client.keys('*');
    const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
    client.disconnect();
    expect(keys.length).toBeGreaterThan(20);
    expectNothingFound(Buffer.concat([Buffer.from(keys.join('\n')), ...dumps]), words);
  });
});
