import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { openStore } from '../../vault/store/store-url.ts';
import { startRedis } from '../support/redis.ts';

describe('the URL of the store', () => {
  it('opens the embedded store for sqlite:PATH, with or without slashes in front', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'alter-url-'));
    for (const url of [`sqlite:${directory}/a.db`, `sqlite://${directory}/a.db`, `SQLite:${directory}/a.db`]) {
      const store = await openStore(url);
      await store.ping();
      await store.close();
    }
    rmSync(directory, { recursive: true });
  });

  it('opens Redis for redis://', async () => {
    const redis = await startRedis();
    const store = await openStore(redis.url);
    await store.ping();
    await store.close();
    await redis.stop();
  });

  it.each([
    '',
    'alter.db',
    'sqlite:',
    'sqlite://',
    'sqlite://host/path',
    'postgres://user:canary@host',
    'redis+sentinel://:canary@a:1,b:2',
    'redis+cluster://:canary@a:1,b:canary',
    'redis+anything://:canary@a:1',
    'redis://user:canary/more@host',
    'redis://user:100%canary@host',
    'redis://:canary@host:notaport',
  ])('refuses %j without telling what is in it', async (url) => {
    const error: unknown = await openStore(url).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(String(error)).not.toContain('canary');
  });
});
