import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isNativeError } from 'node:util/types';
import type { AuditEvent, AuditSink } from '../core/audit-event.ts';
import { AlterError } from '../core/errors.ts';

export interface AuditFileOptions {
  readonly path: string;
  /**
   * `strict`: a record resolves when it is on the disk. `buffered`: it resolves at once, as long as everything of more
   * than 100 ms ago is on the disk; otherwise it waits as if it were strict.
   */
  readonly durability: 'strict' | 'buffered';
  /** How long a record may take before it is refused. */
  readonly timeoutMs: number;
  /** Records that wait at one time; more are refused at once. */
  readonly maxPending: number;
}

interface Pending {
  readonly line: Buffer;
  readonly since: number;
  readonly settle: (error: AlterError | null) => void;
}

const bufferedLossMs = 100;
const largestGroupBytes = 1024 * 1024;
const pipeRetryMs = 5;
const newline = 0x0a;
/** Without O_NONBLOCK, opening a FIFO that nobody reads would block a thread of the pool for good. */
const openFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

/**
 * Appends audit records to a file, a FIFO or a device, one JSON object a line. Records that come while a write is under
 * way share the next one, and its one fdatasync.
 *
 * A failure refuses the records of that write and nothing else: the next record tries anew, opening the path again if
 * need be, so that recovery needs nobody. A record that was refused may still stand in the file: what is missing then is
 * the request, never the record. Readers must skip a line that is not JSON, which a crash or a full disk may leave behind.
 */
export class AuditFile implements AuditSink {
  readonly #path: string;
  readonly #durability: AuditFileOptions['durability'];
  readonly #timeoutMs: number;
  readonly #maxPending: number;
  readonly #queue = new Set<Pending>();
  #file: OpenFile | null = null;
  /** Of the file that was let go of last: what a pipe holds can't be read back. */
  #endsInsideLine = false;
  #running: Promise<void> | null = null;
  #problem: string | null = null;
  #closed = false;

  constructor({ path, durability, timeoutMs, maxPending }: AuditFileOptions) {
    this.#path = resolve(path);
    this.#durability = durability;
    this.#timeoutMs = timeoutMs;
    this.#maxPending = maxPending;
  }

  /** Why the last write failed, as a system error code, or null when it went well. For readiness. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Rejects with `audit_unavailable`. */
  async record(event: AuditEvent): Promise<void> {
    if (this.#closed) throw unavailable('closed');
    if (this.#queue.size >= this.#maxPending) throw unavailable('too many records wait');
    const durable = this.#enqueue(Buffer.from(`${JSON.stringify(event)}\n`));
    if (this.#durability === 'strict' || !this.#isCaughtUp()) return durable;
    // Whoever comes after a failure waits and is told; this one's caller took the risk of 100 ms.
    durable.catch(() => {});
  }

  /** Writes what waits, then lets go of the file. */
  async close(): Promise<void> {
    this.#closed = true;
    // A disk that hangs must not keep the process from exiting; its records were refused by then.
    if (this.#running !== null) await Promise.race([this.#running, wait(this.#timeoutMs)]);
    await this.#release();
  }

  #isCaughtUp(): boolean {
    if (this.#problem !== null) return false;
    for (const oldest of this.#queue) return performance.now() - oldest.since < bufferedLossMs;
    return true;
  }

  #enqueue(line: Buffer): Promise<void> {
    return new Promise((resolvePromise, reject) => {
      const timer = setTimeout(() => {
        this.#problem = 'timeout';
        pending.settle(unavailable('timeout'));
      }, this.#timeoutMs);
      const pending: Pending = {
        line,
        since: performance.now(),
        settle: (error) => {
          clearTimeout(timer);
          this.#queue.delete(pending);
          if (error === null) resolvePromise();
          else reject(error);
        },
      };
      this.#queue.add(pending);
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // Everything that is recorded in this turn of the event loop goes into the first group.
    await new Promise((next) => setImmediate(next));
    while (this.#queue.size > 0) {
      const group = this.#nextGroup();
      const error = await this.#write(Buffer.concat(group.map((pending) => pending.line)), group[0]!.since);
      for (const pending of group) pending.settle(error);
    }
    this.#running = null;
  }

  #nextGroup(): Pending[] {
    const group: Pending[] = [];
    let bytes = 0;
    for (const pending of this.#queue) {
      bytes += pending.line.length;
      if (group.length > 0 && bytes > largestGroupBytes) break;
      group.push(pending);
    }
    return group;
  }

  async #write(lines: Buffer, since: number): Promise<AlterError | null> {
    try {
      const deadline = since + this.#timeoutMs;
      await this.#appendDurably(lines, deadline);
      this.#problem = null;
      return null;
    } catch (cause) {
      this.#problem = codeOf(cause);
      await this.#release();
      return unavailable(this.#problem, cause);
    }
  }

  async #appendDurably(lines: Buffer, deadline: number): Promise<void> {
    if (this.#file !== null && !(await this.#file.isAt(this.#path))) await this.#release();
    this.#file ??= await OpenFile.open(this.#path, this.#endsInsideLine);
    await this.#file.append(lines, deadline);
    if (await this.#file.isGone()) {
      // The file was removed under the write: what was written is lost with it.
      await this.#release();
      this.#file = await OpenFile.open(this.#path, this.#endsInsideLine);
      await this.#file.append(lines, deadline);
    }
  }

  async #release(): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    this.#file = null;
    this.#endsInsideLine = file.endsInsideLine;
    await file.close();
  }
}

/** The file, FIFO or device that stood at the path when it was opened. */
class OpenFile {
  readonly #handle: FileHandle;
  readonly #device: number;
  readonly #inode: number;
  readonly #isRegular: boolean;
  #endsInsideLine: boolean;

  private constructor(handle: FileHandle, stats: Stats, endsInsideLine: boolean) {
    this.#handle = handle;
    this.#device = stats.dev;
    this.#inode = stats.ino;
    this.#isRegular = stats.isFile();
    this.#endsInsideLine = endsInsideLine;
  }

  /** `isTorn` says that the last write to this path stopped inside a line; a regular file is looked at instead. */
  static async open(path: string, isTorn: boolean): Promise<OpenFile> {
    const handle = await open(path, openFlags, 0o600);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) return new OpenFile(handle, stats, isTorn);
      if (stats.size > 0) return new OpenFile(handle, stats, (await lastByteOf(path, stats.size)) !== newline);
      // A new file is durable only when its entry in the directory is.
      await syncDirectory(dirname(path));
      return new OpenFile(handle, stats, false);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get endsInsideLine(): boolean {
    return this.#endsInsideLine;
  }

  /** Whether the path still names this file: it does not after a rotation of logs. */
  async isAt(path: string): Promise<boolean> {
    try {
      const { dev, ino } = await stat(path);
      return dev === this.#device && ino === this.#inode;
    } catch {
      return false;
    }
  }

  /** Whether nobody can find this file any more. */
  async isGone(): Promise<boolean> {
    return this.#isRegular && (await this.#handle.stat()).nlink === 0;
  }

  /** `deadline` on the clock of performance.now(). */
  async append(lines: Buffer, deadline: number): Promise<void> {
    // After a torn write the rest of that line is somebody's half record: it must not swallow the next one.
    let rest = this.#endsInsideLine ? Buffer.concat([Buffer.from('\n'), lines]) : lines;
    while (rest.length > 0) {
      const written = await this.#writeSome(rest);
      if (written === 0) {
        if (performance.now() > deadline)
          throw Object.assign(new Error('The reader of the pipe is too slow.'), { code: 'EAGAIN' });
        await wait(pipeRetryMs);
      } else {
        this.#endsInsideLine = rest[written - 1] !== newline;
        rest = rest.subarray(written);
      }
    }
    // Pipes and devices have nothing to sync.
    if (this.#isRegular) await this.#handle.datasync();
  }

  /** How many bytes went out: 0 when a pipe is full. */
  async #writeSome(bytes: Buffer): Promise<number> {
    try {
      return (await this.#handle.write(bytes)).bytesWritten;
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return 0;
      throw error;
    }
  }

  async close(): Promise<void> {
    // Nothing is lost by a close that fails: what was acknowledged has been synced.
    await this.#handle.close().catch(() => {});
  }
}

async function lastByteOf(path: string, size: number): Promise<number | undefined> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    return (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0];
  } finally {
    await handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string {
  return isNativeError(error) && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

function unavailable(why: string, cause?: unknown): AlterError {
  return new AlterError('audit_unavailable', {
    detail: `The audit record could not be written to the audit file (${why}), so the request was not sent.`,
    ...(cause === undefined ? {} : { cause }),
  });
}
