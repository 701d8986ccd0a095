import { isId } from './id.ts';
import { checksum, checksumLength } from './token.ts';

/** Opens the sealed state of one app, and of no other. */
export interface AppKey {
  readonly appId: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

const prefix = 'alter_appkey_';
const keyBytes = 32;
const shape = new RegExp(`^${prefix}([0-9a-f-]{36})_([\\w-]{43})([0-9A-Za-z]{${checksumLength}})$`);

/**
 * `alter_appkey_` + id of the app + `_` + the key in base64url + 6 characters of checksum. The fixed prefix lets secret
 * scanners find it, and the checksum tells one that lost a character from one that opens nothing.
 */
export function formatAppKey({ appId, key }: AppKey): string {
  const body = `${prefix}${appId}_${key.toString('base64url')}`;
  return body + checksum(body);
}

/** Null where the text has not the shape or the checksum of an app key. */
export function findAppKey(text: string): AppKey | null {
  const [, appId, encoded] = shape.exec(text) ?? [];
  if (appId === undefined || encoded === undefined || !isId(appId)) return null;
  if (checksum(text.slice(0, -checksumLength)) !== text.slice(-checksumLength)) return null;
  const key = Buffer.from(encoded, 'base64url');
  return key.length === keyBytes ? { appId, key } : null;
}
