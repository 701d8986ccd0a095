import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { isObject } from './admin-client.ts';
import { findVariable } from './environment.ts';
import { exitCodes, Failure, systemCodeOf } from './failure.ts';

/** Who is signed in, and where: the token goes to this address and to no other, whatever the environment says. */
export interface Login {
  readonly adminUrl: string;
  readonly token: string;
}

/** In the configuration directory of the user, never in one that they happen to stand in. */
export function loginPath(): string {
  const configured = findVariable('XDG_CONFIG_HOME');
  const base =
    configured !== null && isAbsolute(configured) ? configured : join(findVariable('HOME') ?? homedir(), '.config');
  return join(base, 'alter', 'login.json');
}

/** Null where nobody signed in. Throws with exit code 3 for a file that others may read or that is another user's. */
export function findLogin(): Login | null {
  const path = loginPath();
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw refusal(path, 'it can not be read', 'Look at the file and its directory.');
  }
  try {
    const { mode, uid } = fstatSync(descriptor);
    if (uid !== process.getuid?.()) throw refusal(path, 'it is the file of another user', 'Remove it.');
    if ((mode & 0o077) !== 0) throw refusal(path, 'others may read it', `Run chmod 600 ${path}, or sign in again.`);
    return parseLogin(readFileSync(descriptor, 'utf8'), path);
  } finally {
    closeSync(descriptor);
  }
}

function parseLogin(text: string, path: string): Login {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value) && typeof value.admin_url === 'string' && typeof value.token === 'string')
      return { adminUrl: value.admin_url, token: value.token };
  } catch {
    // the error would quote what stands in the file
  }
  throw refusal(path, 'it is damaged', 'Sign in again with `alter auth login`.');
}

/** Replaces the one before, whole or not at all. Nobody else may read it at any moment. */
export function storeLogin(login: Login): void {
  const path = loginPath();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  const content = `${JSON.stringify({ admin_url: login.adminUrl, token: login.token })}\n`;
  writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' });
  renameSync(temporary, path);
}

export function removeLogin(): void {
  rmSync(loginPath(), { force: true });
}

function refusal(path: string, why: string, hint: string): Failure {
  return new Failure({
    exit: exitCodes.notSignedIn,
    code: 'unauthenticated',
    detail: `The login in ${path} is not used: ${why}.`,
    hint,
  });
}
