import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';
import { isId, issueId } from '../../core/id.ts';
import type { KmsKeys } from '../keys/kms.ts';
import { encodeParts } from '../keys/seal.ts';
import { unwrapKey, wrapKey } from '../keys/wrapped-key.ts';
import type { StoredRecord } from '../store/store.ts';

/**
 * A backup is a text of lines. The first names it and holds a key of its own, wrapped by the root key; the last says what
 * there must be before it; those in between hold records as the store has them, sealed. Every line has a MAC under a key
 * that comes from the first line, over its text and its place, so that none can be changed, moved, left out or taken from
 * another backup.
 */
export interface BackupHeader {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The only app that it holds; null where it holds all, with what belongs to none. */
  readonly appId: string | null;
}

/** Records of one space. Where the space changed while it was read, it was read again: only the last attempt counts. */
export interface RecordsLine {
  readonly space: string;
  readonly attempt: number;
  readonly records: readonly StoredRecord[];
}

export interface BackupManifest {
  /** Lines of records. */
  readonly lines: number;
  readonly spaces: readonly { readonly space: string; readonly attempt: number; readonly records: number }[];
}

export type BackupLine =
  | ({ readonly kind: 'records' } & RecordsLine)
  | ({ readonly kind: 'manifest' } & BackupManifest);

/** Of one line, as text: what is written has at most about half of it, but for one very large record. */
export const maxLineLength = 1_000_000;

const format = 1;
const macLength = 43;

/** Makes and reads the lines of one backup. */
export class BackupSeal {
  readonly header: BackupHeader;
  /** The first line. */
  readonly headerLine: string;
  readonly #key: Buffer;

  /** A new backup. */
  static async issue(kms: KmsKeys, now: number, appId: string | null): Promise<BackupSeal> {
    const key = randomBytes(32);
    const header = { id: issueId(now), createdAt: now, appId };
    const wrapped = (await wrapKey(kms.current, key, contextOf(header))).toString('base64');
    const of = appId === null ? {} : { app_id: appId };
    const line = { alter_egress_backup: format, id: header.id, created_at: header.createdAt, ...of, key: wrapped };
    return new BackupSeal(header, JSON.stringify(line), key);
  }

  /** From the first line. Throws `state_invalid` for anything but a backup of this format, made under this root key. */
  static async open(kms: KmsKeys, headerLine: string): Promise<BackupSeal> {
    const {
      alter_egress_backup: version,
      id,
      created_at: createdAt,
      app_id: appId = null,
      key,
    } = parseJson(headerLine);
    if (typeof version !== 'number') throw invalid('This is not a backup of Alter Egress.');
    if (version !== format) throw invalid(`The backup has format ${version}; this release reads format ${format}.`);
    const isApp = appId === null || (typeof appId === 'string' && isId(appId));
    if (typeof id !== 'string' || !Number.isSafeInteger(createdAt) || !isApp || typeof key !== 'string')
      throw invalid('The first line of the backup is damaged.');
    const header = { id, createdAt: createdAt as number, appId };
    const unwrapped = await unwrapKey(kms, Buffer.from(key, 'base64'), contextOf(header)).catch((cause: unknown) => {
      if (!(cause instanceof AlterError) || cause.code !== 'state_invalid') throw cause;
      throw invalid('The backup was made under another root key, or its first line was changed.', cause);
    });
    return new BackupSeal(header, headerLine, unwrapped);
  }

  private constructor(header: BackupHeader, headerLine: string, key: Uint8Array) {
    this.header = header;
    this.headerLine = headerLine;
    this.#key = Buffer.from(hkdfSync('sha256', key, '', encodeParts(['alter-egress', '1', 'backup', headerLine]), 32));
  }

  /** `index` from 0, without the first line. */
  seal(line: BackupLine, index: number): string {
    const text = JSON.stringify(line.kind === 'records' ? { ...line, records: line.records.map(toRow) } : line);
    return `{"mac":"${this.#mac(text, index)}","line":${text}}`;
  }

  /** Throws `state_invalid` for any line but the one that was made for this place. */
  open(sealed: string, index: number): BackupLine {
    const [prefix, between] = ['{"mac":"', '","line":'];
    const macAt = prefix.length;
    const textAt = macAt + macLength + between.length;
    const mac = sealed.slice(macAt, macAt + macLength);
    const text = sealed.slice(textAt, -1);
    const isWhole = sealed === `${prefix}${mac}${between}${text}}`;
    const right = this.#mac(text, index);
    if (!isWhole || mac.length !== right.length || !timingSafeEqual(Buffer.from(mac, 'latin1'), Buffer.from(right)))
      throw invalid(`Line ${index + 2} of the backup was changed, moved, or belongs to another backup.`);
    // What has this MAC was written by this code.
    const line = JSON.parse(text) as { kind: string; records?: [string, string, number, string][] };
    if (line.kind !== 'records') return line as unknown as BackupLine;
    return { ...line, records: line.records!.map(toRecord) } as unknown as BackupLine;
  }

  #mac(text: string, index: number): string {
    return createHmac('sha256', this.#key)
      .update(encodeParts([String(index), text]))
      .digest('base64url');
  }
}

function toRow({ type, id, revision, body }: StoredRecord): [string, string, number, string] {
  return [type, id, revision, Buffer.from(body).toString('base64')];
}

function toRecord([type, id, revision, body]: [string, string, number, string]): StoredRecord {
  return { type, id, revision, body: Buffer.from(body, 'base64') };
}

/** The rest of the line is bound by the key of the lines. */
function contextOf({ id, createdAt }: BackupHeader): Buffer {
  return encodeParts(['alter-egress', '1', 'backup-key', id, String(createdAt)]);
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // as below
  }
  throw invalid('This is not a backup of Alter Egress.');
}

function invalid(detail: string, cause?: unknown): AlterError {
  return new AlterError('backup_invalid', { detail, cause });
}
