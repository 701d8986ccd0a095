import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { settingNames } from '../../core/config.ts';
import { findUnsafeRuntime } from '../../serve/unsafe-runtime.ts';
import { root } from '../support/source-files.ts';

const unit = readFileSync(join(root, 'systemd/alter-egress.service'), 'utf8');
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

/** 0 to 10 as `systemd-analyze security` counts; what is left is the network, and that V8 compiles while it runs. */
const maxExposure = 1.5;

describe('the systemd unit', () => {
  it('keeps core files and debuggers away, in a way that the service accepts', () => {
    expect(unit).toMatch(/^LimitCORE=0$/m);
    const options = /^Environment=NODE_OPTIONS=(.*)$/m.exec(unit)![1]!;
    expect(options).toBe('--disable-sigusr1');
    expect(findUnsafeRuntime({ env: { NODE_OPTIONS: options }, execArgv: [] })).toEqual([]);
    expect(spawnSync(process.execPath, ['--version'], { env: { NODE_OPTIONS: options } }).status).toBe(0);
  });

  it('names only settings that there are, and waits longer than the service drains', () => {
    const named = unit.match(/ALTER_[A-Z_]+/g) ?? [];
    expect(named.length).toBeGreaterThan(2);
    for (const name of named) expect(settingNames).toContain(name.replace(/_FILE$/, ''));
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(30);
  });

  (hasSystemd ? it : it.skip)('is understood by systemd, which counts little that it could do', () => {
    const directory = mkdtempSync(join(tmpdir(), 'alter-unit-'));
    const path = join(directory, 'alter-egress.service');
    try {
      writeFileSync(path, unit.replace('/usr/local/bin/alter', '/bin/true')); // the program must exist
      const verified = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
      expect([verified.stderr, verified.status]).toEqual(['', 0]);
      const words = ['security', '--offline=true', `--threshold=${maxExposure * 10}`, path];
      expect(spawnSync('systemd-analyze', words, { encoding: 'utf8' }).status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
