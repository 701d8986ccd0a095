import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { isObject } from './admin-client.ts';
import { exitCodes, Failure, systemCodeOf, usageFailure } from './failure.ts';
import type { JsonObject } from './present.ts';

const maxFileBytes = 256 * 1024;

/**
 * The text of a local file that an input names. `input` is the flag, for the message.
 *
 * Throws with exit code 4 where there is no such file, 2 where it is a directory, too large or not UTF-8, 1 where it may
 * not be read.
 */
export function readTextFile(path: string, input: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw fileFailure(path, input, error);
  }
  try {
    const { size } = fstatSync(descriptor);
    if (size > maxFileBytes) throw usageFailure(`${input}: ${path} is larger than ${maxFileBytes / 1024} KiB.`);
    return decode(readFileSync(descriptor), path, input);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw fileFailure(path, input, error);
  } finally {
    closeSync(descriptor);
  }
}

function decode(bytes: Uint8Array, path: string, input: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw usageFailure(`${input}: ${path} is not text in UTF-8.`);
  }
}

/** The path in `@PATH`. Throws a usage failure without quoting the text, which may be a credential. */
export function parseFileArgument(text: string, input: string): string {
  if (text.startsWith('@') && text.length > 1) return text.slice(1);
  throw usageFailure(`${input} takes the name of a file with an @ in front.`, `For example ${input} @file.json`);
}

/** The object in a JSON text. The errors of `JSON.parse` quote their input, so they are never passed on. */
export function parseJsonObject(text: string, input: string): JsonObject {
  const value = parseJsonText(text, input);
  if (!isObject(value)) throw usageFailure(`${input}: the JSON is not an object.`);
  return value;
}

export function parseJsonText(text: string, input: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw usageFailure(`${input}: this is not valid JSON.`);
  }
}

function fileFailure(path: string, input: string, error: unknown): Failure {
  const code = systemCodeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new Failure({
      exit: exitCodes.notFound,
      code: 'file_not_found',
      detail: `${input}: there is no file ${path}.`,
    });
  if (code === 'EISDIR') return usageFailure(`${input}: ${path} is a directory, not a file.`);
  const why = code === 'EACCES' || code === 'EPERM' ? 'it may not be read' : 'it could not be read';
  return new Failure({ exit: exitCodes.error, code: 'file_unreadable', detail: `${input}: ${path}: ${why}.` });
}
