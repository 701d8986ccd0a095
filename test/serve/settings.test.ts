import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { toAlterError } from '../../core/errors.ts';
import { loadConfig } from '../../serve/settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'alter-settings-'));
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const problemsOf = async (env: Record<string, string>, yaml?: string): Promise<readonly string[]> => {
  try {
    await loadConfig(env, yaml);
    return [];
  } catch (error) {
    return toAlterError(error).problems?.map(({ field, message }) => `${field} ${message}`) ?? [];
  }
};
afterAll(() => rmSync(directory, { recursive: true }));

describe('settings', () => {
  it('come from the YAML file, and from the environment over it', async () => {
    const yaml = file(
      'a.yaml',
      'ALTER_EGRESS_MODE: deny\nALTER_MAX_HEADERS: 50\nALTER_ALLOW_ADDRESSES:\n  - 10.0.0.0/8\n  - 127.0.0.1:8443\n',
    );
    const config = await loadConfig({ ALTER_MAX_HEADERS: '60', PATH: '/bin' }, yaml);
    expect([config.egressMode, config.limits.maxHeaders, config.allowAddresses.length]).toEqual(['deny', 60, 2]);
  });

  it('may be given as the path of a file that holds the value', async () => {
    const key = Buffer.alloc(32, 7);
    const config = await loadConfig(
      { ALTER_ROOT_KEY_FILE: file('root.key', `${key.toString('base64')}\n`) },
      undefined,
    );
    expect(config.rootKey).toEqual(key);
  });

  it('take ALTER_AUDIT_FILE for what it is: the path of the audit file', async () => {
    const config = await loadConfig({ ALTER_AUDIT_FILE: '/var/log/alter.jsonl' }, undefined);
    expect(config.auditFile).toBe('/var/log/alter.jsonl');
  });

  it('are refused with every problem of every source at once', async () => {
    const yaml = file('b.yaml', 'ALTER_EGRESS_MODE: maybe\nport: 3128\nALTER_HOSTS: {a: b}\n');
    const problems = await problemsOf(
      {
        ALTER_MAX_HEADERS: 'many',
        ALTER_ROOT_KEY: 'short',
        ALTER_UPSTREAM_CA_FILE: '/nowhere/ca.pem',
        ALTER_STORE_URI: 'sqlite:x',
        ALTER_AUDIT: 'strict',
        ALTER_AUDIT_FILE: '/a',
      },
      yaml,
    );
    for (const name of [
      'ALTER_EGRESS_MODE',
      'port',
      'ALTER_HOSTS',
      'ALTER_MAX_HEADERS',
      'ALTER_ROOT_KEY',
      'ALTER_UPSTREAM_CA_FILE',
      'ALTER_STORE_URI',
    ]) {
      expect(problems.filter((problem) => problem.startsWith(`${name} `))).toHaveLength(1);
    }
    expect(problems.join()).toContain('did you mean ALTER_STORE_URL');
    expect(problems.join()).not.toContain('short');
  });

  it('are refused where a value is given twice, or the YAML can not be read', async () => {
    expect((await problemsOf({ ALTER_ROOT_KEY: 'x', ALTER_ROOT_KEY_FILE: '/x' }))[0]).toContain(
      'given together with ALTER_ROOT_KEY',
    );
    expect((await problemsOf({}, '/nowhere.yaml'))[0]).toMatch(/^--config .*ENOENT/);
    expect((await problemsOf({}, file('c.yaml', '{'))).length).toBe(1);
    expect((await problemsOf({}, file('d.yaml', '- a\n'))).join()).toContain('one a line');
    expect((await problemsOf({}, file('e.yaml', 'a: &a [x]\nb: *a\n'))).length).toBeGreaterThan(0);
    expect(await problemsOf({}, file('f.yaml', ''))).toEqual([]);
  });
});
