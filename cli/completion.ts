import type { Command } from '@oclif/core';
import { commandTable, topics } from './commands.ts';
import { loadCommand } from './offered-commands.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Offer {
  readonly word: string;
  readonly description: string;
}

/** What may stand behind the words of a group or a command. */
interface Place {
  /** `keys mint`; empty for `alter` itself. */
  readonly path: string;
  readonly offers: readonly Offer[];
  /** Flags that take a value, with what it may be; empty where it may be anything. */
  readonly values: readonly { readonly flag: string; readonly choices: readonly string[] }[];
}

const help: Offer = { word: '--help', description: 'Show what the command takes.' };

/**
 * A script that a shell reads once. It is made from the commands as they are and asks nobody while somebody types: a
 * completion that called the service would stall the prompt, and would need the token there.
 */
export async function writeCompletion(shell: Shell): Promise<string> {
  const places = await readPlaces();
  switch (shell) {
    case 'bash':
      return bashScript(places);
    case 'zsh':
      return zshScript(places);
    case 'fish':
      return fishScript(places);
  }
}

async function readPlaces(): Promise<Place[]> {
  const ids = Object.keys(commandTable);
  const groups = ['', ...Object.keys(topics)].map((group) => {
    const depth = group === '' ? 1 : group.split(':').length + 1;
    const below = [...ids, ...Object.keys(topics)].filter(
      (id) => id.split(':').length === depth && (group === '' || id.startsWith(`${group}:`)),
    );
    const offers = below.sort().map((id) => ({
      word: id.split(':').at(-1)!,
      description: topics[id] ?? commandTable[id]?.[0] ?? '',
    }));
    const others: readonly Offer[] =
      group === '' ? [help, { word: '--version', description: 'Print the version.' }] : [help];
    return { path: group.replaceAll(':', ' '), offers: [...offers, ...others], values: [] };
  });
  return [...groups, ...(await Promise.all(ids.map(readCommand)))];
}

async function readCommand(id: string): Promise<Place> {
  const command: typeof Command = await loadCommand(id);
  const flags = Object.entries(command.flags ?? {}).filter(([, flag]) => flag.hidden !== true);
  const [argument] = Object.values(command.args ?? {});
  return {
    path: id.replaceAll(':', ' '),
    offers: [
      ...(argument?.options ?? []).map((word) => ({ word, description: argument?.description ?? '' })),
      ...flags.map(([name, { description }]) => ({ word: `--${name}`, description: description ?? '' })),
      help,
    ],
    values: flags.flatMap(([name, flag]) =>
      flag.type === 'option' ? [{ flag: `--${name}`, choices: flag.options ?? [] }] : [],
    ),
  };
}

/** `'keys mint --key-type') reply='runtime agent' ;;` for every flag that takes a value. */
function valueCases(places: readonly Place[], write: (choices: readonly string[]) => string): string {
  return places
    .flatMap(({ path, values }) => values.map(({ flag, choices }) => `    '${path} ${flag}') ${write(choices)} ;;`))
    .join('\n');
}

function bashScript(places: readonly Place[]): string {
  const offers = places.map(
    ({ path, offers }) => `    '${path}') reply='${offers.map(({ word }) => word).join(' ')}' ;;`,
  );
  return `# Completion of alter for bash. Load it in ~/.bashrc: source <(alter completion bash)
_alter_offers() {
  reply=''
  case "$1" in
${offers.join('\n')}
    *) return 1 ;;
  esac
}

_alter_values() {
  reply=''
  case "$1" in
${valueCases(places, (choices) => `reply='${choices.join(' ')}'`)}
    *) return 1 ;;
  esac
}

_alter() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" at='' reply='' i
  COMPREPLY=()
  # bash makes three words of --flag=value.
  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} == -- ]]; then
      [[ $i == $((COMP_CWORD - 1)) ]] && COMPREPLY=($(compgen -c -- "$cur"))
      return
    fi
  done
  for ((i = 1; i < COMP_CWORD; i++)); do
    _alter_offers "\${at:+$at }\${COMP_WORDS[i]}" || break
    at="\${at:+$at }\${COMP_WORDS[i]}"
  done
  if [[ $cur == @* ]]; then
    local IFS=$'\\n'
    COMPREPLY=($(compgen -P @ -f -- "\${cur#@}"))
  elif _alter_values "$at $prev"; then
    COMPREPLY=($(compgen -W "$reply" -- "$cur"))
  elif _alter_offers "$at"; then
    COMPREPLY=($(compgen -W "$reply" -- "$cur"))
  fi
}

complete -o default -F _alter alter
`;
}

function zshScript(places: readonly Place[]): string {
  const offers = places.map(({ path, offers }) => {
    const lines = offers.map(({ word, description }) => quote(`${word}:${description}`));
    return `    '${path}') reply=(${lines.join(' ')}) ;;`;
  });
  return `#compdef alter
# Completion of alter for zsh. Load it in ~/.zshrc, after compinit: source <(alter completion zsh)
_alter_offers() {
  reply=()
  case "$1" in
${offers.join('\n')}
    *) return 1 ;;
  esac
}

_alter_values() {
  reply=()
  case "$1" in
${valueCases(places, (choices) => `reply=(${choices.join(' ')})`)}
    *) return 1 ;;
  esac
}

_alter() {
  local at='' i flag
  local -a reply
  for ((i = 2; i < CURRENT; i++)); do
    if [[ $words[i] == -- ]]; then
      shift $i words
      ((CURRENT -= i))
      _normal
      return
    fi
  done
  for ((i = 2; i < CURRENT; i++)); do
    _alter_offers "\${at:+$at }$words[i]" || break
    at="\${at:+$at }$words[i]"
  done
  flag=$words[CURRENT-1]
  if [[ $words[CURRENT] == --*=* ]]; then
    flag=\${words[CURRENT]%%=*}
    compset -P '*='
  fi
  if _alter_values "$at $flag"; then
    if ((\${#reply})); then
      compadd -- $reply
    else
      compset -P @
      _files
    fi
  elif _alter_offers "$at"; then
    _describe 'alter' reply
  fi
}

if [[ $funcstack[1] == _alter ]]; then _alter "$@"; else compdef _alter alter; fi
`;
}

function fishScript(places: readonly Place[]): string {
  const offers = places.map(({ path, offers }) => {
    const lines = offers.map(({ word, description }) => fishQuote(`${word}\t${description}`));
    return `    case '${path}'\n      printf '%s\\n' ${lines.join(' ')}`;
  });
  const values = places.flatMap(({ path, values }) =>
    values.map(({ flag, choices }) => {
      const print =
        choices.length === 0 ? '__fish_complete_path (commandline -ct)' : `printf '%s\\n' ${choices.join(' ')}`;
      return `    case '${path} ${flag}'\n      ${print}`;
    }),
  );
  return `# Completion of alter for fish. Load it: alter completion fish | source
function __alter_offers
  switch $argv[1]
${offers.join('\n')}
    case '*'
      return 1
  end
end

function __alter_values
  switch $argv[1]
${values.join('\n')}
    case '*'
      return 1
  end
end

function __alter_complete
  set -l typed (commandline -opc)
  set -e typed[1]
  if contains -- -- $typed
    __fish_complete_path (commandline -ct)
    return
  end
  set -l at ''
  for word in $typed
    set -l next (string trim -- "$at $word")
    __alter_offers $next >/dev/null; or break
    set at $next
  end
  set -q typed[-1]; and __alter_values "$at $typed[-1]"; and return
  set -l flag (string match -r -- '^(--[a-z-]+)=' (commandline -ct))
  if set -q flag[2]
    for value in (__alter_values "$at $flag[2]")
      echo "$flag[2]=$value"
    end
    return
  end
  __alter_offers $at
end

complete -c alter -f -a '(__alter_complete)'
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
