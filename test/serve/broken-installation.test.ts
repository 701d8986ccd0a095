import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually } from '../support/in-parallel.ts';

describe('an installation where a file of the admin API can not be loaded', () => {
  const directory = mkdtempSync(join(tmpdir(), 'alter-broken-'));
  cpSync('dist', join(directory, 'dist'), { recursive: true });
  cpSync('package.json', join(directory, 'package.json'));
  symlinkSync(resolve('node_modules'), join(directory, 'node_modules'));
  const file = join(directory, 'dist/admin/routes.js');
  renameSync(file, `${file}.away`);
  const undo: (() => unknown)[] = [() => rmSync(directory, { recursive: true })];
  afterAll(async () => {
    for (const step of undo.reverse()) await step();
  });

  const serve = (role: string) => {
    const child = spawn(process.execPath, [join(directory, 'dist/cli/bin.js'), 'serve', '--role', role], {
      cwd: mkdtempSync(join(directory, 'data-')),
      env: {
        ALTER_PROXY_LISTEN: '127.0.0.1:0',
        ALTER_ADMIN_LISTEN: '127.0.0.1:0',
        ALTER_OPS_LISTEN: '127.0.0.1:0',
      },
      stdio: 'pipe',
    });
    endWithUs(child);
    const of = { child, said: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        of.said += text;
      });
    return of;
  };

  it('does not start as an admin service', async () => {
    const of = serve('admin');
    const [code] = await once(of.child, 'close');
    expect(code).toBe(1);
    expect(of.said).toContain('admin/routes.js');
  });

  it('refuses what is asked of it beside a proxy, says so in the log, and answers once the file is back', async () => {
    const of = serve('all');
    undo.push(async () => {
      if (of.child.kill()) await once(of.child, 'exit');
    });
    await eventually(() => of.said.includes('/readyz'));
    const url = `${/^ {2}admin {2}(\S+)$/m.exec(of.said)![1]}/v1/me`;
    const refused = await fetch(url);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([500, 'internal_error']);
    await eventually(() => of.said.includes('The admin API could not be loaded.'));
    renameSync(`${file}.away`, file);
    expect((await fetch(url)).status).toBe(401);
  });
});
