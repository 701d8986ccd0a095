import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs `use` with the texts as files of a directory that is gone afterwards. */
export async function withFiles<T>(
  texts: Readonly<Record<string, string>>,
  use: (pathOf: (name: string) => string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'alter-certs-'));
  try {
    for (const [name, text] of Object.entries(texts)) await writeFile(join(directory, name), text);
    return await use((name) => join(directory, name));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The output of openssl; rejects with its messages when it exits with anything but 0. */
export async function openssl(...args: string[]): Promise<string> {
  const { stdout } = await run('openssl', args);
  return stdout;
}
