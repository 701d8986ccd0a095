import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { exitCodes, Failure, systemCodeOf } from './failure.ts';

/** No line of a backup is as long: what is, is another file, and is not taken into memory. */
const maxLineBytes = 2 * 1024 * 1024;

/** The lines of a backup, without their ends. Throws with exit code 4 where the file can't be read, and 2 where it is none. */
export async function* readBackupLines(path: string): AsyncGenerator<string, void> {
  const input = createReadStream(path, { encoding: 'utf8' });
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      if (line.length > maxLineBytes) throw notBackup(path);
      if (line !== '') yield line;
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure({
      exit: exitCodes.notFound,
      code: 'file_unreadable',
      detail: `${path} can't be read (${systemCodeOf(error) ?? 'unknown error'}).`,
    });
  } finally {
    input.destroy();
  }
}

export function notBackup(path: string): Failure {
  return new Failure({ exit: exitCodes.usage, code: 'usage', detail: `${path} is not a backup of Alter Egress.` });
}

/** Where a backup goes. Nothing stands under the name of the file before the backup is complete. */
export interface BackupTarget {
  write(line: string): Promise<void>;
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

export async function openBackupTarget(path: string): Promise<BackupTarget> {
  if (path === '-') return { write: (line) => writeOut(`${line}\n`), finish: async () => {}, abandon: async () => {} };
  const partial = `${path}.partial`;
  let file: FileHandle;
  try {
    file = await open(partial, 'w', 0o600);
  } catch (error) {
    throw new Failure({
      exit: exitCodes.error,
      code: 'file_unwritable',
      detail: `${partial} can't be written (${systemCodeOf(error) ?? 'unknown error'}).`,
    });
  }
  return {
    write: async (line) => {
      await file.write(`${line}\n`);
    },
    finish: async () => {
      await file.sync();
      await file.close();
      await rename(partial, path);
    },
    abandon: async () => {
      await file.close();
      await rm(partial, { force: true });
    },
  };
}

function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
