import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * Everything that authenticates has one shape: `alter_` + kind + `_` + 16 characters of visible id, of which the first 8
 * are the time of issue, so that a list in the order of ids is one in the order of creation, + 43 characters of secret (256 random bits) + 6 characters of checksum, all base62, so that it survives a URL, a shell and a double click,
 * and a mistyped one is told from an unknown one without a look-up. The fixed prefix lets secret scanners find it.
 */
export const tokenKinds = { rk: 'runtime', ak: 'agent', dk: 'derived', pat: 'pat' } as const;
export type TokenKind = (typeof tokenKinds)[keyof typeof tokenKinds];

const idLength = 16;
const timeLength = 8;
const secretLength = 43;
export const checksumLength = 6;
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const shape = new RegExp(
  `^alter_(rk|ak|dk|pat)_([0-9A-Za-z]{${idLength}})([0-9A-Za-z]{${secretLength}})([0-9A-Za-z]{${checksumLength}})$`,
);

export interface Token {
  readonly kind: TokenKind;
  /** The visible part, which names the record. */
  readonly id: string;
  /** SHA-256 of the whole token. A fast hash is right here: the secret part has 256 random bits. */
  readonly digest: Buffer;
}

export interface IssuedToken extends Token {
  /** The plaintext, to be shown once. */
  readonly plaintext: string;
}

/** `now` in milliseconds since the epoch. */
export function issueToken(kind: TokenKind, now: number): IssuedToken {
  const short = Object.entries(tokenKinds).find(([, name]) => name === kind)![0];
  const id = base62Of(BigInt(now), timeLength) + base62(randomBytes(8), idLength - timeLength);
  const body = `alter_${short}_${id}${base62(randomBytes(32), secretLength)}`;
  const plaintext = body + checksum(body);
  return { ...findToken(plaintext)!, plaintext };
}

/** Null where the text has not the shape or the checksum of a token. */
export function findToken(text: string): Token | null {
  const match = shape.exec(text);
  if (match === null) return null;
  const [, short, id] = match;
  if (checksum(text.slice(0, -checksumLength)) !== text.slice(-checksumLength)) return null;
  return {
    kind: tokenKinds[short as keyof typeof tokenKinds],
    id: id!,
    digest: hash('sha256', text, 'buffer'),
  };
}

export function tokenPrefix(kind: TokenKind, id: string): string {
  const short = Object.entries(tokenKinds).find(([, name]) => name === kind)![0];
  return `alter_${short}_${id}`;
}

/** The only place where the digest of a token is compared. Constant time; false for digests of different length. */
export function digestsEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function base62(bytes: Buffer, length: number): string {
  return base62Of(BigInt(`0x${bytes.toString('hex')}`), length);
}

/** The digits stand in the order of their bytes, so that greater numbers sort later. What does not fit is cut off in front. */
function base62Of(of: bigint, length: number): string {
  let value = of;
  let text = '';
  while (text.length < length) {
    text = alphabet[Number(value % 62n)]! + text;
    value /= 62n;
  }
  return text;
}

/** Finds a mistyped character without a look-up; proves nothing. Without big integers, since it is counted for every new tunnel. */
export function checksum(body: string): string {
  let value = Number.parseInt(hash('sha256', `alter-token-checksum:${body}`, 'hex').slice(0, 8), 16);
  let text = '';
  for (let i = 0; i < checksumLength; i++) {
    text = alphabet[value % 62]! + text;
    value = Math.floor(value / 62);
  }
  return text;
}
