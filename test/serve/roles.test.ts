import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../core/config.ts';
import { type Role, type Service, startService } from '../../serve/service.ts';
import { createLog } from '../../telemetry/log.ts';
import { type Redis, startRedis } from '../support/redis.ts';

describe('a proxy and an admin service, each a process of its own, on one empty store', () => {
  let redis: Redis;
  const running: Service[] = [];
  const rootKey = randomBytes(32);
  const start = async (role: Role): Promise<Service> => {
    const config = parseConfig({
      ALTER_STORE_URL: redis.url,
      ALTER_ROOT_KEY: rootKey.toString('base64'),
      ALTER_PROXY_LISTEN: '127.0.0.1:0',
      ALTER_ADMIN_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
    });
    const service = await startService({ config, rootKey, role, log: createLog({ level: 'silent' }), clock: Date.now });
    running.push(service);
    return service;
  };

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
  });
  afterAll(async () => {
    for (const service of running) await service.close();
    await redis?.stop();
  });

  it('leave the first token to the admin service, though the proxy was there before it', async () => {
    const proxy = await start('proxy');
    expect(proxy.first).toBeNull();
    const admin = await start('admin');
    expect(admin.first?.pat).toMatch(/^alter_pat_/);
    expect((await start('admin')).first).toBeNull();
  });

  it('show workloads one authority', () => {
    expect(new Set(running.map(({ authorityPem }) => authorityPem)).size).toBe(1);
  });

  it('are ready, each by itself', async () => {
    for (const { ops } of running) expect((await fetch(`http://${ops.host}:${ops.port}/readyz`)).status).toBe(200);
  });
});
