import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { lockRules } from '../../injector/sidecar.ts';
import { root } from '../support/source-files.ts';

const tools = ['nft', 'unshare', 'nsenter', 'setpriv', 'ip'];
const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const canLock =
  process.getuid?.() === 0 &&
  tools.every(has) &&
  spawnSync('unshare', ['--net', 'nft', 'list', 'ruleset']).status === 0;

describe('the rules of alter-egress/egress-lock, in a network namespace of their own', () => {
  (canLock ? it : it.skip)(
    'let out what the user of the proxy sends, answers to whoever called in, and nothing else (needs root and nft)',
    () => {
      const script = join(root, 'test/support/locked-pod.sh');
      const { stdout, stderr, status } = spawnSync('unshare', ['--net', 'bash', script], {
        encoding: 'utf8',
        timeout: 60_000,
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', NODE: process.execPath, RULES: lockRules(10_128) },
      });
      expect([stderr, status]).toEqual(['', 0]);
      expect(stdout.trim().split('\n')).toEqual([
        'workload-before open',
        'workload-after EHOSTUNREACH',
        'root-after EHOSTUNREACH',
        'proxy-after open',
        'workload-to-loopback open',
        'world-to-workload open',
      ]);
    },
    70_000,
  );
});
