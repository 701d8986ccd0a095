import { timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { AlterError } from '../../core/errors.ts';
import type { SpaceKeys } from '../keys/keyring.ts';
import { isNewer, type Mark } from './epoch.ts';

/** A mark as it stands in the file, with a MAC under a key of its space. */
interface SealedMark extends Mark {
  readonly mac: string;
}

const saveAfterMs = 250;

/**
 * The newest epoch that was seen of each space: in memory and, where a path is given, in a file, so that a restart does
 * not forget it. Several processes may share the file: each adds to it what it knows better.
 */
export class StateMarks {
  readonly path: string | null;
  readonly #marks = new Map<string, Mark>();
  /** What the file says, not yet compared with what the keys of the space say to it. */
  readonly #read: Map<string, SealedMark>;
  readonly #toSave = new Map<string, SealedMark>();
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();

  /** Throws `state_invalid` for a file that can't be read. That there is none is no fault. */
  constructor(of: { readonly path: string | null; readonly onError?: (error: unknown) => void } = { path: null }) {
    this.path = of.path;
    this.#onError = of.onError ?? (() => {});
    this.#read = of.path === null ? new Map() : parseFile(of.path, readIfThere(of.path));
  }

  /** Does the file hold a mark of this space, whatever it says? */
  has(space: string): boolean {
    return this.#marks.has(space) || this.#read.has(space);
  }

  find(keys: SpaceKeys): Mark | null {
    const read = this.#read.get(keys.space);
    if (read !== undefined) {
      this.#read.delete(keys.space);
      // An entry that was edited, or made under another key, says that there was a state, and not which one: then only an
      // operator can say that this one is right.
      const mark = isGenuine(keys, read) ? bare(read) : { ...bare(read), word: null };
      if (isNewer(mark, this.#marks.get(keys.space) ?? null)) this.#marks.set(keys.space, mark);
    }
    return this.#marks.get(keys.space) ?? null;
  }

  raise(keys: SpaceKeys, mark: Mark): void {
    if (!isNewer(mark, this.find(keys))) return;
    this.#marks.set(keys.space, mark);
    if (this.path === null) return;
    this.#toSave.set(keys.space, { ...mark, mac: macOf(keys, mark) });
    this.#timer ??= setTimeout(() => this.#saveSoon(), saveAfterMs);
    this.#timer.unref();
  }

  /** Resolves when everything that was raised before stands in the file. */
  async close(): Promise<void> {
    this.#saveSoon();
    await this.#saving;
  }

  #saveSoon(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#saving = this.#saving.then(() => this.#save()).catch((error: unknown) => this.#onError(error));
  }

  async #save(): Promise<void> {
    const { path } = this;
    if (path === null || this.#toSave.size === 0) return;
    const marks = parseFile(path, await readFile(path, 'utf8').catch(orNothing));
    const saved = new Map(this.#toSave);
    for (const [space, mark] of saved) if (isNewer(mark, marks.get(space) ?? null)) marks.set(space, mark);
    // Whole or not at all: half a file after a crash would keep the service from starting.
    // In containers that share a volume every process has the same id.
    const temporary = `${path}.${hostname()}.${process.pid}`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ format: 1, marks: Object.fromEntries(marks) }, null, 1)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    // Not before: what a full disk did not take is written with what comes next.
    for (const [space, mark] of saved) if (this.#toSave.get(space) === mark) this.#toSave.delete(space);
  }
}

function bare({ era, number, word }: Mark): Mark {
  return { era, number, word };
}

function macOf(keys: SpaceKeys, { era, number, word }: Mark): string {
  return keys.word('state-mark', JSON.stringify([era, number, word]));
}

function isGenuine(keys: SpaceKeys, mark: SealedMark): boolean {
  const [given, right] = [mark.mac, macOf(keys, mark)].map((mac) => Buffer.from(mac));
  return given!.length === right!.length && timingSafeEqual(given!, right!);
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return orNothing(error);
  }
}

function orNothing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

function parseFile(path: string, text: string | null): Map<string, SealedMark> {
  const marks = new Map<string, SealedMark>();
  if (text === null) return marks;
  let document: unknown = null;
  try {
    document = JSON.parse(text);
  } catch {
    // told of below
  }
  const given = (document as { marks?: unknown } | null)?.marks;
  if (typeof given !== 'object' || given === null) throw unreadable(path);
  for (const [space, mark] of Object.entries(given)) {
    if (!isSealedMark(mark)) throw unreadable(path);
    marks.set(space, mark);
  }
  return marks;
}

function isSealedMark(value: unknown): value is SealedMark {
  if (typeof value !== 'object' || value === null) return false;
  const { era, number, word, mac } = value as Record<string, unknown>;
  return (
    [era, number].every((part) => Number.isSafeInteger(part) && (part as number) >= 0) &&
    (word === null || typeof word === 'string') &&
    typeof mac === 'string'
  );
}

function unreadable(path: string): AlterError {
  return new AlterError('state_invalid', {
    detail: `The file of state marks ${path} can't be read.`,
    hint: 'It says which state this machine has seen. Put it back, or remove it if the store is known to be current.',
  });
}
