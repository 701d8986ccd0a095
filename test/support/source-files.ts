import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Module, parseSync } from '@swc/core';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string;
  /** The first folder of the path. */
  readonly room: string;
  readonly module: Module;
  /** As written. Type imports count: a type is a dependency as well. */
  readonly imports: readonly string[];
}

export interface SyntaxNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Every TypeScript file of a folder, read and parsed. */
export function sourceFiles(folder: string): SourceFile[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
      const module = parseSync(readFileSync(join(root, path), 'utf8'), { syntax: 'typescript', target: 'es2024' });
      return { path, room: path.split('/')[0]!, module, imports: importsOf(module) };
    });
}

/** Every folder of the repository that is not ignored or hidden, from its root. */
export function folders(below: string): string[] {
  return readdirSync(join(root, below), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(?:\.|node_modules$|dist$|coverage$)/.test(entry.name))
    .flatMap((entry) => [posix.join(below, entry.name), ...folders(posix.join(below, entry.name))]);
}

/** The file that an import of ours means. Only relative ones are ours. */
export function resolveImport(from: SourceFile, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(from.path), specifier));
}

/** Static imports and re-exports, `import('…')` as expression and as type, `require('…')` and `new URL('…', import.meta.url)`. */
function importsOf(module: Module): string[] {
  const found: string[] = [];
  const take = (node: unknown): void => {
    if (isNode(node) && node.type === 'StringLiteral' && typeof node.value === 'string') found.push(node.value);
    else if (node !== null && node !== undefined) found.push('(not a literal)');
  };
  for (const node of walk(module)) {
    if (node.type.startsWith('Import') || node.type.startsWith('Export')) {
      if ('source' in node && node.source !== null) take(node.source);
    } else if (node.type === 'TsImportType') take(node.argument);
    else if (node.type === 'TsExternalModuleReference') take(node.expression);
    else if (node.type === 'CallExpression') {
      const callee = node.callee;
      const first = (node.arguments as { expression: unknown }[])[0]?.expression;
      if (isNode(callee) && (callee.type === 'Import' || isName(callee, 'require'))) take(first ?? callee);
    }
  }
  return found;
}

export function* walk(node: unknown): Generator<SyntaxNode> {
  if (Array.isArray(node)) for (const child of node) yield* walk(child);
  else if (typeof node === 'object' && node !== null) {
    if (isNode(node)) yield node;
    for (const child of Object.values(node)) yield* walk(child);
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** An identifier of this name, whether it stands alone or behind a dot. */
export function isName(value: unknown, name: string): boolean {
  return isNode(value) && value.type === 'Identifier' && value.value === name;
}
