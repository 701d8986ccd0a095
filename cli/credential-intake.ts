import { Flags } from '@oclif/core';
import { usageFailure } from './failure.ts';
import { parseFileArgument, parseJsonObject, readTextFile } from './file-argument.ts';
import { parseNamedValues } from './named-values.ts';
import type { JsonObject } from './present.ts';
import { askHidden, readAll, readLine } from './prompt.ts';

const maxStdinBytes = 256 * 1024;

/** The flags with which `create` and `rotate` take a credential. */
export const credentialFlags = {
  'credential-value': Flags.string({
    description:
      'The primary value: - reads one line from standard input, @FILE a file. Given as it is, it stays in the history of the shell.',
    helpValue: 'V|-|@FILE',
  }),
  credentials: Flags.string({
    description: 'A JSON file with the fields of the credential; it may hold credential_value.',
    helpValue: '@FILE.json',
  }),
  'credential-field': Flags.string({
    description: 'One field of the credential. Can be given several times.',
    helpValue: 'NAME=VALUE',
    multiple: true,
    multipleNonGreedy: true,
  }),
  input: Flags.string({
    description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
    helpValue: '@FILE|-',
  }),
};

export interface CredentialInput {
  readonly 'credential-value'?: string | undefined;
  readonly credentials?: string | undefined;
  readonly 'credential-field'?: readonly string[] | undefined;
  readonly input?: string | undefined;
}

/**
 * The parts of the request body that hold the credential: `credential_value` and `credentials`, each only where given. No
 * failure and no warning quotes a value.
 *
 * Throws with exit code 4 for a file that does not exist, otherwise with 2.
 */
export async function readCredential(given: CredentialInput, warn: (warning: string) => void): Promise<JsonObject> {
  if (given['credential-value'] === '-' && given.input === '-')
    throw usageFailure('--credential-value and --input cannot both read standard input.');
  const file = given.credentials === undefined ? null : readCredentialsFile(given.credentials);
  const named = given['credential-field'] ?? [];
  const fields = named.length === 0 ? null : parseNamedValues(named, '--credential-field');
  const isInline = given['credential-value'] !== undefined && !/^(?:-$|@)/.test(given['credential-value']);
  if (isInline || fields !== null)
    warn(
      'a credential on the command line stays in the history of the shell and is seen in the list of processes; prefer - or @FILE.',
    );

  const { credential_value: fileValue, ...fileFields } = file ?? {};
  if (file !== null && fields !== null) warn('--credential-field is not used: the file given with --credentials wins.');
  if (fileValue !== undefined && given['credential-value'] !== undefined)
    warn('--credential-value is not used: the file given with --credentials holds credential_value and wins.');

  const value = fileValue ?? (await readValue(given['credential-value']));
  const credentials = file === null ? fields : fileFields;
  return {
    ...(value === undefined ? {} : { credential_value: value }),
    ...(credentials === null || Object.keys(credentials).length === 0 ? {} : { credentials }),
  };
}

/** The object given with `--input`, or with another flag of its kind; empty where there is none. Throws with exit code 4 or 2. */
export async function readInput(given: string | undefined, input = '--input'): Promise<JsonObject> {
  if (given === undefined) return {};
  if (given !== '-') return parseJsonObject(readTextFile(parseFileArgument(given, input), input), input);
  const text = await readAll(maxStdinBytes);
  if (text.trim() === '') throw usageFailure(`${input}: standard input is empty.`);
  return parseJsonObject(text, input);
}

async function readValue(given: string | undefined): Promise<string | undefined> {
  const input = '--credential-value';
  if (given === undefined) return undefined;
  let value: string | null = given;
  if (given === '-')
    value = process.stdin.isTTY ? await askHidden('Credential (not shown): ') : await readLine(maxStdinBytes);
  else if (given.startsWith('@')) {
    // Editors end a file with a line feed that is no part of the credential; one of them goes, and nothing else.
    value = readTextFile(parseFileArgument(given, input), input).replace(/\r?\n$/, '');
  }
  if (value === null || value === '') {
    const where =
      given === '-' ? 'standard input is empty' : given.startsWith('@') ? 'the file is empty' : 'it is empty';
    throw usageFailure(`${input}: ${where}.`);
  }
  return value;
}

function readCredentialsFile(given: string): JsonObject {
  const input = '--credentials';
  const object = parseJsonObject(readTextFile(parseFileArgument(given, input), input), input);
  const wrong = Object.entries(object).find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined) throw usageFailure(`${input}: the field "${wrong[0].slice(0, 64)}" is not a string.`);
  return object;
}
