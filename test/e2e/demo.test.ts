import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { run } from '../support/rig.ts';

describe('npm run demo', () => {
  it('walks through the commands that the start prints, and ends with 0 because the promise held', async () => {
    const { code, stdout } = await run(process.execPath, [resolve('setup/demo.mjs')], {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
    });
    expect(stdout).toContain('$ alter run -- curl');
    expect(stdout).toContain(
      'The upstream received: Authorization: Bearer demo-credential-that-the-client-never-holds',
    );
    expect(stdout).toContain('held no credential');
    expect(code).toBe(0);
  });
});
