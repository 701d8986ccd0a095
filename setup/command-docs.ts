/**
 * Writes the part of docs/cli.md that lists every command, from the commands and from the OpenAPI document that their answers
 * are described in: `npm run docs`. What stands above it is written by hand. A test compares the page with what this makes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from '@oclif/core';
import { describeApi } from '../admin/http/openapi.ts';
import { routes } from '../admin/routes.ts';
import { adminFlags, appFlags, BaseCommand, outputFlags } from '../cli/base-command.ts';
import { commandTable, topics } from '../cli/commands.ts';
import { loadCommand } from '../cli/offered-commands.ts';

const page = new URL('../docs/cli.md', import.meta.url);
const start = '## Every command\n';
const commonFlags = Object.keys({ ...outputFlags, ...adminFlags, ...appFlags });

type Flag = NonNullable<typeof Command.flags>[string];
interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}
interface Operation {
  readonly method: string;
  readonly path: string;
  readonly scope: string | null;
  readonly isList: boolean;
  readonly fields: readonly string[];
}

const operations = readOperations();

/** The page with its list of commands as the commands are now; `text` is the page as it is. */
export async function renderCommands(text: string): Promise<string> {
  const end = text.indexOf(start);
  if (end === -1) throw new Error(`docs/cli.md has lost its line "${start.trim()}".`);
  const common = Object.entries({ ...outputFlags, ...adminFlags, app: appFlags.app }).map(([name, flag]) => [
    nameFlag(name, flag as Flag),
    flag.description ?? '',
  ]);
  const sections = [];
  let group: string | null = null;
  for (const id of Object.keys(commandTable)) {
    const own = id.includes(':') ? id.slice(0, id.lastIndexOf(':')) : '';
    if (own !== group && own !== '') sections.push(`### ${spell(own)}\n\n${topics[own]}`);
    group = own;
    sections.push(await renderCommand(id));
  }
  return `${text.slice(0, end)}${start}
Flags that many commands share, and that the lists below do not repeat:

${table(['flag', 'meaning'], common)}

${sections.join('\n\n')}

---

From "Every command" on, made from \`cli/commands\` by \`npm run docs\`; change it there.
`;
}

async function renderCommand(id: string): Promise<string> {
  const command = await loadCommand(id);
  const flags = Object.entries(command.flags ?? {}).filter(([, flag]) => flag.hidden !== true);
  const own = flags.filter(([name]) => !commonFlags.includes(name));
  const shared = flags.map(([name]) => name).filter((name) => commonFlags.includes(name));
  const args = Object.entries(command.args ?? {});
  const usage =
    typeof command.usage === 'string'
      ? `alter ${command.usage}`
      : ['alter', ...id.split(':'), ...args.map(([name, { required }]) => (required ? `<${name}>` : `[${name}]`))]
          .concat(own.map(([name, flag]) => usageOf(name, flag)))
          .join(' ');
  const rows = [
    ...args.map(([name, { description }]) => [`\`<${name}>\``, '', description ?? '']),
    ...own.map(([name, flag]) => [nameFlag(name, flag), defaultOf(flag), describeFlag(flag)]),
  ];
  const operation = findOperation(command);
  const prints = operation === null || operation.fields.length === 0 ? null : describeFields(operation);
  return [
    `#### ${spell(id)}`,
    [command.summary, command.description].filter((text) => text !== undefined).join(' '),
    `\`\`\`\n${wrap(usage)}\n\`\`\``,
    rows.length === 0 ? null : table(['', 'default', 'meaning'], rows),
    shared.length === 0 ? null : `Shared flags: ${shared.map((name) => `\`--${name}\``).join(', ')}.`,
    `\`\`\`sh\n${command.examples.map(formatExample).join('\n')}\n\`\`\``,
    operation === null || operation.scope === null ? null : `Scope: \`${operation.scope}\`.`,
    prints,
    `Exit codes: ${exitCodesOf(command, operation).join(', ')}.`,
  ]
    .filter((part) => part !== null)
    .join('\n\n');
}

/** Those that the command can end with beside 0; `run` passes on those of its program. */
function exitCodesOf(command: typeof Command, operation: Operation | null): readonly number[] {
  const flags = Object.keys(command.flags ?? {});
  const asksService = flags.includes('admin-url');
  const readsFile = Object.values(command.flags ?? {}).some(
    (flag) => flag.type === 'option' && /FILE|PATH|\bF\b/.test(String(flag.helpValue)),
  );
  const codes = [0, 1, 2];
  if (asksService) codes.push(3);
  if (readsFile || operation?.path.includes('{') === true) codes.push(4);
  if (operation !== null && operation.method !== 'get') codes.push(5);
  if (asksService) codes.push(6);
  if (operation !== null && operation.scope !== null) codes.push(7);
  if (asksService) codes.push(8);
  return codes;
}

function findOperation(command: typeof Command): Operation | null {
  const id = command.prototype instanceof BaseCommand ? (command as typeof BaseCommand).operation : null;
  if (id === null) return null;
  const found = operations.get(id);
  if (found === undefined) throw new Error(`There is no operation ${id} in the admin API.`);
  return found;
}

function readOperations(): ReadonlyMap<string, Operation> {
  const api = describeApi(routes) as unknown as {
    readonly paths: Record<string, Record<string, { operationId: string; description?: string; responses: object }>>;
    readonly components: { readonly schemas: Record<string, Schema> };
  };
  const resolve = (schema: Schema | undefined): Schema =>
    schema?.$ref === undefined ? (schema ?? {}) : api.components.schemas[schema.$ref.split('/').at(-1)!]!;
  return new Map(
    Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId, description, responses }]) => {
        const answer = Object.entries(responses).find(([status]) => /^2/.test(status))?.[1] as
          | { readonly content?: Record<string, { readonly schema: Schema }> }
          | undefined;
        const schema = resolve(answer?.content?.['application/json']?.schema);
        const items = schema.properties?.items?.items;
        return [
          operationId,
          {
            method,
            path,
            scope: /^Scope: `(.*)`\.$/.exec(description ?? '')?.[1] ?? null,
            isList: items !== undefined,
            fields: Object.keys((items === undefined ? schema : resolve(items)).properties ?? {}),
          },
        ] as const;
      }),
    ),
  );
}

function describeFields({ isList, fields }: Operation): string {
  return `${isList ? 'Fields of an item' : 'Fields'}: ${fields.map((name) => `\`${name}\``).join(', ')}.`;
}

function nameFlag(name: string, flag: Flag): string {
  const value = flag.type === 'option' ? ` ${placeholderOf(name, flag)}` : '';
  return `\`${flag.char === undefined ? '' : `-${flag.char}, `}--${name}${value}\``;
}

function usageOf(name: string, flag: Flag): string {
  const text = `--${name}${flag.type === 'option' ? ` ${placeholderOf(name, flag)}` : ''}`;
  const many = flag.type === 'option' && flag.multiple === true ? '…' : '';
  return `${flag.required === true ? text : `[${text}]`}${many}`;
}

function placeholderOf(name: string, flag: Flag): string {
  if (flag.type !== 'option') return '';
  if (flag.options !== undefined) return flag.options.join('|');
  return flag.helpValue === undefined ? name.toUpperCase().replace(/^.*-/, '') : String(flag.helpValue);
}

function defaultOf(flag: Flag): string {
  const value: unknown = flag.default;
  return typeof value === 'string' || typeof value === 'number' ? `\`${value}\`` : '';
}

function describeFlag(flag: Flag): string {
  const words = [flag.description ?? ''];
  if (flag.required === true) words.push('Required.');
  if (flag.type === 'option' && 'min' in flag && 'max' in flag && typeof flag.max === 'number')
    words.push(`From ${String(flag.min)} to ${flag.max}.`);
  if (flag.type === 'option' && flag.multiple === true) words.push('May be repeated.');
  return words.join(' ');
}

function formatExample(example: (typeof Command.examples)[number]): string {
  return typeof example === 'string' ? example : `# ${example.description}\n${example.command}`;
}

function spell(id: string): string {
  return `\`alter ${id.replaceAll(':', ' ')}\``;
}

/** At most 100 columns, the lines that follow indented. */
function wrap(text: string): string {
  const lines = [''];
  for (const part of text.match(/\[[^\]]*\]…?|\S+/g) ?? []) {
    if (`${lines.at(-1)} ${part}`.length > 100) lines.push('     ');
    lines[lines.length - 1] += `${lines.at(-1) === '' ? '' : ' '}${part}`;
  }
  return lines.join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.main) writeFileSync(page, await renderCommands(readFileSync(page, 'utf8')));
