import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StoreUnavailable } from '../../vault/store/store.ts';
import { openRedisStore } from '../../vault/store/store-redis.ts';
import { openStore } from '../../vault/store/store-url.ts';
import { openssl, withFiles } from '../certs/openssl.ts';
import { holdTheContract } from '../contract/redis.ts';
import { makeRedisTls, type Redis, type RedisTls, startRedis } from '../support/redis.ts';

/** As operators are told, for keys of a prefix that begins with `alter`. */
function readAclRule(): string[] {
  const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
  const [, rule] = /^ACL SETUSER alter on >PASSWORD (.+)$/m.exec(page)!;
  return rule!.replace('~alter:*', '~alter*').split(' ');
}

const password = 'p@ss/w:rd';
const user = `alter:${encodeURIComponent(password)}@`;
const admin = ['-a', 'other', '--no-auth-warning'];

async function startWithUser(tls: RedisTls): Promise<Redis> {
  const server = await startRedis({ tls });
  await server.cli('ACL', 'SETUSER', 'alter', 'on', `>${password}`, ...readAclRule());
  await server.cli('CONFIG', 'SET', 'requirepass', 'other');
  return server;
}

holdTheContract('Redis over TLS, as the ACL user of the documentation,', async () => {
  const tls = await makeRedisTls();
  const server = await startWithUser(tls);
  return {
    url: server.url.replace('://', `://${user}`),
    tls,
    servers: [server],
    admin,
    stop: () => server.stop(),
  };
});

describe('a Redis store over TLS', () => {
  let tls: RedisTls;
  let server: Redis;
  beforeAll(async () => {
    tls = await makeRedisTls();
    server = await startWithUser(tls);
  });
  afterAll(() => server.stop());

  it('is refused where its certificate is of an unknown authority, or for another name', async () => {
    const url = server.url.replace('://', `://${user}`);
    await expect(openRedisStore({ url })).rejects.toThrow(/unable to verify|self-signed|unable to get/);
    const other = await makeRedisTls();
    await expect(openRedisStore({ url, ca: other.caPem })).rejects.toThrow(StoreUnavailable);
    const byName = url.replace('127.0.0.1', 'localhost');
    await expect(openRedisStore({ url: byName, ca: tls.caPem })).rejects.toThrow(/altnames|ECONNREFUSED/);
  });

  it('shows its own certificate to a server that asks for one', async () => {
    await withFiles({}, async (pathOf) => {
      const [key, cert] = [pathOf('key.pem'), pathOf('cert.pem')];
      await openssl(
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=alter'],
        ...['-addext', 'extendedKeyUsage=clientAuth', '-days', '2', '-keyout', key, '-out', cert],
      );
      const strict = await startRedis({ tls: { ...tls, caPem: `${tls.caPem}${readFileSync(cert, 'utf8')}` } });
      await strict.cli('CONFIG', 'SET', 'tls-auth-clients', 'yes');
      const certificate = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
      await expect(openRedisStore({ url: strict.url, ca: tls.caPem })).rejects.toThrow(StoreUnavailable);
      const store = await openRedisStore({ url: strict.url, ca: tls.caPem, certificate });
      await store.ping();
      await store.close();
      await strict.stop();
    });
  });

  it('says what its user may not ask for instead of failing', async () => {
    await server.cli(...admin, 'ACL', 'SETUSER', 'blind', 'on', '>x', ...readAclRule(), '-config|get', '-info');
    const notes: string[] = [];
    const store = await openStore(server.url.replace('://', '://blind:x@'), {
      ca: tls.caPem,
      onNote: ({ text }) => notes.push(text),
    });
    await store.ping();
    await store.close();
    expect(notes.join('\n')).toMatch(/may not ask for CONFIG GET[\s\S]*may not ask for INFO/);
  });
});
