import { Flags } from '@oclif/core';
import { findToken, tokenPrefix } from '../core/token.ts';
import { pathPart } from './admin-client.ts';

/** `--key`, which names a key record. */
export const keyFlag = () =>
  Flags.string({ required: true, description: 'The id of the key, or its key_prefix.', helpValue: 'KEY' });

/** The part of a path that names a key. Of a whole key only the visible part is used: a path is logged, a secret is not. */
export function keyPathPart(text: string, input = '--key'): string {
  const token = findToken(text);
  return pathPart(token === null ? text : tokenPrefix(token.kind, token.id), input);
}
