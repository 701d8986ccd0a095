import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';

/** Where the service keeps what it makes on its first start: beside the database file, or `.alter` for a remote store. */
export function dataDirectory(config: Config): string {
  return resolve(config.store.kind === 'sqlite' ? dirname(config.store.path) : '.alter');
}

/**
 * Null where the process needs none: it opens one app only, or a service wraps the keys. Otherwise the root key: as configured, or, for the embedded store, the file `root.key` beside it, made on the first start. Throws
 * `config_invalid` where there is a database but no key to it: making a new one would look like data loss.
 */
export function openRootKey(config: Config): Uint8Array | null {
  if (config.appKey !== null || config.kms.kind !== 'local') return null;
  if (config.rootKey !== null) return config.rootKey;
  const directory = dataDirectory(config);
  const path = join(directory, 'root.key');
  if (existsSync(path)) {
    const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64');
    if (key.length === 32) return key;
    throw noRootKey(`${path} does not hold 32 bytes in base64.`);
  }
  if (config.store.kind === 'sqlite' && existsSync(config.store.path)) {
    throw noRootKey(`The store ${config.store.path} exists, but its root key ${path} does not.`);
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const key = randomBytes(32);
  writeWhole(path, `${key.toString('base64')}\n`, 0o600);
  return key;
}

/** Written beside and renamed, so that a crash leaves the old file or the new one. */
export function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode, flush: true });
  renameSync(draft, path);
}

function noRootKey(detail: string): AlterError {
  return new AlterError('config_invalid', {
    detail,
    hint: 'Put the key file back, or give the key as ALTER_ROOT_KEY. Without it nothing in the store can be opened.',
    problems: [{ field: 'ALTER_ROOT_KEY', message: detail }],
  });
}
