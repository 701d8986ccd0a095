import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { commandTable } from '../../cli/commands.ts';
import { findCommand } from '../../cli/find-command.ts';
import { loadCommand } from '../../cli/offered-commands.ts';
import { renderCommands } from '../../setup/command-docs.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const ids = Object.keys(commandTable);
const pages = ['README.md', ...readdirSync(new URL('docs/', root)).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
);

/** Every `alter …` in code, in a line of its own or within a sentence, up to what belongs to the shell. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block]) =>
    block!
      .replaceAll(/\\\n\s*/g, ' ')
      .split('\n')
      .filter((line) => !/^\s*#/.test(line)),
  );
  const spans = [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
  return [...blocks, ...spans].flatMap((line) =>
    [...line.matchAll(/(?:^|[;&|(]\s*|\$ )(alter (?:[^;&|>#`)"']|'[^']*'|"[^"]*")*)/g)].map(([, words]) =>
      words!.trim(),
    ),
  );
}

describe('the documentation of the commands', () => {
  it('is what `npm run docs` makes of them', async () => {
    const text = read('docs/cli.md');
    expect(text).toBe(await renderCommands(text));
  });

  it.each(pages)('%s shows only commands that there are, with flags that they have', async (path) => {
    const wrong: string[] = [];
    for (const line of commandLines(read(path))) {
      const words = line.split(/\s+/).slice(1);
      const end = words.findIndex((word) => !/^[a-z-]+$/.test(word) || word.startsWith('-'));
      try {
        const found = findCommand(end === -1 ? words : words.slice(0, end), ids);
        if (found === null) continue;
        const known = Object.keys((await loadCommand(found.id)).flags ?? {});
        const own = line.split(/\s--\s/)[0]!;
        for (const [, name] of own.matchAll(/\s\[?--([a-z-]+)/g))
          if (name !== 'help' && !known.includes(name!)) wrong.push(`${line}: no flag --${name}`);
      } catch {
        wrong.push(line);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('finds command lines in them', () => {
    expect(pages.flatMap((path) => commandLines(read(path))).length).toBeGreaterThan(150);
    expect(commandLines('```sh\nx | alter keys list --app a | head\n```\nUse `alter env`.')).toEqual([
      'alter keys list --app a',
      'alter env',
    ]);
  });
});
