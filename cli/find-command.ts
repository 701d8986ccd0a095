import { usageFailure } from './failure.ts';

/**
 * The id of the command that a command line begins with, and the words that follow it. Null where there is none and help is
 * to be shown: no word, only `--help` or `--version`, or a topic. oclif would take an argument that is out of place for a
 * part of the name of a command, and quote it.
 *
 * Throws a usage failure for a command that does not exist; it quotes no more than the first word that is not known.
 */
export function findCommand(
  argv: readonly string[],
  ids: readonly string[],
): { readonly id: string; readonly rest: readonly string[] } | null {
  const end = argv.findIndex((word) => word.startsWith('-'));
  const words = end === -1 ? argv : argv.slice(0, end);
  if (words.length === 0) {
    const [first] = argv;
    if (first === undefined || first === '--help' || first === '--version') return null;
    throw usageFailure(
      `${first.replace(/=.*$/s, '')} stands before the command.`,
      'Flags go behind it: alter keys list --app NAME',
    );
  }
  for (let count = words.length; count > 0; count -= 1) {
    const id = words.slice(0, count).join(':');
    if (ids.includes(id)) return { id, rest: argv.slice(count) };
  }
  let known = 0;
  while (known < words.length && ids.some((id) => id.startsWith(`${words.slice(0, known + 1).join(':')}:`))) known += 1;
  if (known === words.length) return null;
  const topic = ['alter', ...words.slice(0, known)].join(' ');
  throw usageFailure(`There is no command \`${topic} ${words[known]}\`.`, `\`${topic} --help\` lists what there is.`);
}
