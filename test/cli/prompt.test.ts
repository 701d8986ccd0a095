import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter, alterCommand } from './alter.ts';

let rig: AdminRig;
let env: Record<string, string>;
beforeAll(async () => {
  rig = await startAdminRig();
  env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id };
});
afterAll(() => rig.close());

/** Runs the command in a terminal of its own (util-linux `script`) and types each answer when its question is there. */
function inTerminal(words: readonly string[], answers: readonly (readonly [question: string, typed: string])[]) {
  return new Promise<{ code: number | null; screen: string }>((resolve, reject) => {
    const line = [...alterCommand, ...words].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', line, '/dev/null'], {
      env: { PATH: process.env.PATH ?? '', TERM: 'dumb', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const left = [...answers];
    let screen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk;
      const next = left[0];
      if (next === undefined || !screen.includes(next[0])) return;
      left.shift();
      child.stdin.write(next[1]);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, screen }));
  });
}

async function store(name: string): Promise<string> {
  const words = ['managed-secrets', 'create', '--name', name, '--credential-value', '-', '--output', 'jsonl'];
  return JSON.parse((await alter(words, { env, stdin: 'x' })).stdout).slug;
}

const exists = async (slug: string) => (await alter(['managed-secrets', 'show', slug], { env })).code === 0;

describe('in a terminal', () => {
  it('a credential is asked for and what is typed is not shown', async () => {
    const words = ['managed-secrets', 'create', '--name', 'Typed', '--credential-value', '-'];
    const { code, screen } = await inTerminal(words, [['not shown): ', 'canary-typed\r']]);
    expect(code).toBe(0);
    expect(screen).toContain('"slug": "typed"');
    expect(screen).not.toContain('canary');
  });

  it('a deletion asks for the slug, and does nothing for another word', async () => {
    const slug = await store('Doomed');
    const words = ['managed-secrets', 'delete', slug];
    expect(await inTerminal(words, [['Type doomed', 'domed\r']])).toMatchObject({ code: 5 });
    expect(await inTerminal(words, [['Type doomed', '\u0003']])).toMatchObject({ code: 1 });
    expect(await exists(slug)).toBe(true);
    const { code, screen } = await inTerminal(words, [['Type doomed', 'doomed\r']]);
    expect({ code, deleted: screen.includes('Deleted doomed.') }).toEqual({ code: 0, deleted: true });
    expect(await exists(slug)).toBe(false);
  });

  it('a revocation asks yes or no, and takes silence for no', async () => {
    const minted = await alter('keys mint --name k --scopes proxy:execute --output jsonl'.split(' '), { env });
    const { id } = JSON.parse(minted.stdout);
    const words = ['keys', 'revoke', '--key', id];
    expect(await inTerminal(words, [['[y/N]', '\r']])).toMatchObject({ code: 1 });
    expect(await inTerminal(words, [['[y/N]', '\u0004']])).toMatchObject({ code: 1 });
    const { code, screen } = await inTerminal(words, [['[y/N]', 'y\r']]);
    expect(code).toBe(0);
    expect(screen).toContain('"status": "revoked"');
  });

  /** What stands on a screen of so many columns. */
  async function screenOf(
    columns: number,
    words: readonly string[],
    more: Record<string, string> = {},
  ): Promise<string> {
    const line = [...alterCommand, ...words].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', `stty cols ${columns}; ${line}`, '/dev/null'], {
      env: { PATH: process.env.PATH ?? '', TERM: 'xterm-256color', ...env, ...more },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) text += chunk;
    return text.replaceAll('\r', '');
  }

  it('a table is no wider than the terminal, and a block a row where that would shorten an id', async () => {
    const slug = await store('A name that is much longer than a narrow terminal has room for');
    const wide = await screenOf(80, ['managed-secrets', 'list', '--fields', 'slug,name,version']);
    expect(wide).toContain('…');
    for (const row of wide.split('\n')) expect(row.length).toBeLessThanOrEqual(80);
    const narrow = await screenOf(40, ['managed-secrets', 'list']);
    expect(narrow).toContain(`SLUG           ${slug}\n`);
    expect(narrow).toMatch(/^VERSION {8}1$/m);
  });

  it('help has colour, and none with NO_COLOR', async () => {
    expect(await screenOf(80, ['keys', '--help'])).toContain('\u001b[1mUSAGE');
    expect(await screenOf(80, ['keys', '--help'], { NO_COLOR: '1' })).not.toContain('\u001b');
  });
});
