import { parseArgs } from 'node:util';
import type { Environment } from './environment.ts';

export const roles = ['all', 'proxy', 'admin', 'injector'] as const;

export interface ServeFlags {
  readonly role: (typeof roles)[number];
  /** Path of a YAML file with settings. */
  readonly config: string | undefined;
  readonly withEcho: boolean;
}

/**
 * The flags of `alter serve` where they are plain, and null for anything else, `--help` among it: then oclif reads the same
 * words, and says what is wrong with them. Loading oclif takes a good part of a start, and a proxy that is to come back soon
 * has no use for it.
 */
export function findPlainFlags(words: readonly string[]): ServeFlags | null {
  let given: ReturnType<typeof parseWords>;
  try {
    given = parseWords(words);
  } catch {
    return null;
  }
  const { config, 'with-echo': withEcho = false, role: named = 'all' } = given.values;
  const role = roles.find((name) => name === named);
  const isRepeated = given.tokens.length > Object.keys(given.values).length;
  return role === undefined || config === '' || isRepeated ? null : { role, config, withEcho };
}

function parseWords(words: readonly string[]) {
  return parseArgs({
    args: [...words],
    options: { role: { type: 'string' }, config: { type: 'string' }, 'with-echo': { type: 'boolean' } },
    strict: true,
    tokens: true,
  });
}

/** Runs the service until it is told to stop, and sets the exit code of the process. */
export async function startService(flags: ServeFlags, env: Environment): Promise<void> {
  const { serve } = await import('../serve/main.ts');
  process.exitCode = await serve({ ...flags, env });
}
