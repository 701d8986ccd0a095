import { describe, expect, it } from '@jest/globals';
import { explainSettings } from '../../vault/store/store-redis-settings.ts';

describe('what is said of the settings of a Redis server', () => {
  const explain = (
    settings: Readonly<Record<string, string>> | null,
    replicas: number | null = 0,
    durability: Parameters<typeof explainSettings>[0]['durability'] = 'server',
  ) =>
    explainSettings({
      settings: settings === null ? null : new Map(Object.entries(settings)),
      replicas,
      durability,
    }).map(({ isRisk, text }) => `${isRisk ? 'warn' : 'info'} ${text}`);
  const safe = { appendonly: 'yes', appendfsync: 'always', maxmemory: '0', 'maxmemory-policy': 'noeviction' };

  it('is no warning where every write is on disk, nothing is evicted and there is nothing to fail over to', () => {
    expect(explain(safe).filter((line) => line.startsWith('warn'))).toEqual([]);
    expect(explain({ ...safe, maxmemory: String(64 * 2 ** 20) }).join()).toContain(
      'when 64 MiB are full it refuses writes',
    );
  });

  it.each<[string, Readonly<Record<string, string>>, RegExp]>([
    ['a second of writes', { ...safe, appendfsync: 'everysec' }, /warn the last second of acknowledged writes/],
    ['what the system held back', { ...safe, appendfsync: 'no' }, /warn how many acknowledged writes are lost/],
    ['all since a snapshot', { appendonly: 'no', save: '3600 1' }, /warn everything since the last snapshot/],
    ['all', { appendonly: 'no', save: '' }, /warn everything is lost when the server ends/],
    ['what is evicted', { ...safe, 'maxmemory-policy': 'volatile-ttl' }, /warn it deletes data when memory runs out/],
  ])('warns where %s can be lost', (_, settings, expected) => {
    expect(explain(settings).some((line) => expected.test(line))).toBe(true);
  });

  it('warns where a failover can lose writes, or too few replicas are there to confirm them', () => {
    expect(explain({ ...safe, 'min-replicas-to-write': '1' }, 2).join()).toMatch(
      /warn it has 2 replicas, which it does not wait for.*while fewer than 1 are connected/,
    );
    expect(explain(safe, 2, { replicas: 1, ms: 500 }).at(-1)).toMatch(/^info a write counts as done when 1 replica/);
    expect(explain(safe, 1, { replicas: 2, ms: 500 }).at(-1)).toMatch(/^warn only 1 replica connected now/);
  });

  it('says what it may not ask for', () => {
    expect(explain(null, null)).toEqual([
      expect.stringMatching(/^warn the ACL user may not ask for CONFIG GET/),
      expect.stringMatching(/^warn the ACL user may not ask for INFO/),
    ]);
  });
});
