import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { nodeVersionProblem } from '../core/node-version.ts';
import { isSupportedNode } from '../setup/node-version.mjs';
import {
  folders,
  isName,
  isNode,
  resolveImport,
  root,
  type SourceFile,
  sourceFiles,
  walk,
} from './support/source-files.ts';

/** ARCHITECTURE.md, section Rooms: which rooms a room may import, and which packages. */
const rooms: Readonly<Record<string, { readonly rooms: readonly string[]; readonly packages: readonly string[] }>> = {
  core: { rooms: [], packages: [] },
  vault: { rooms: ['core'], packages: ['ioredis'] },
  certs: { rooms: ['core'], packages: ['node-forge'] },
  telemetry: { rooms: ['core'], packages: ['pino', 'prom-client'] },
  proxy: {
    rooms: ['core', 'vault', 'certs', 'telemetry'],
    packages: ['undici', 'http-proxy-3', '@smithy/signature-v4', '@smithy/protocol-http', 'jose'],
  },
  admin: {
    rooms: ['core', 'vault', 'certs', 'telemetry'],
    packages: ['koa', '@koa/router', '@koa/bodyparser', 'zod', 'zod-openapi', 'jose', 'rate-limiter-flexible', 'tldts'],
  },
  injector: { rooms: ['core', 'certs', 'telemetry'], packages: ['koa'] },
  cli: { rooms: ['core'], packages: ['@oclif/core', '@inquirer/prompts'] },
  serve: {
    rooms: ['core', 'vault', 'certs', 'telemetry', 'proxy', 'admin', 'injector'],
    packages: ['yaml'],
  },
};

/** The one import that the table does not allow: what starts the service. */
const exceptions = ['cli/start-service.ts -> serve/main.ts'];

const nodeModulesOfCore = ['node:crypto', 'node:net', 'node:url'];
/** Parts of Node that belong to one room, because that room guards something with them. */
const roomOfNodeModule: Readonly<Record<string, string>> = { 'node:sqlite': 'vault' };

const environmentReaders = ['cli/bin.ts'];
const secretReaders = /^(?:proxy\/inject[^/]*|vault\/(?:[^/]+\/)?[^/]+)\.ts$/;
const entryPoints = ['cli/bin.ts', 'serve/main.ts'];
const forbiddenFolders = /^(?:utils?|helpers?|common|shared|types|misc|lib)$/;

const files = new Map(Object.keys(rooms).map((room) => [room, sourceFiles(room)]));
const all = [...files.values()].flat();
const isOurs = (specifier: string): boolean => specifier.startsWith('.');

/** `a/b.ts -> c/d.ts` for every import of our own files that leaves its room. */
function crossings(): { from: SourceFile; target: string; line: string }[] {
  return all.flatMap((from) =>
    from.imports
      .filter(isOurs)
      .map((specifier) => resolveImport(from, specifier))
      .filter((target) => target.split('/')[0] !== from.room)
      .map((target) => ({ from, target, line: `${from.path} -> ${target}` }))
      .filter(({ line }) => !exceptions.includes(line)),
  );
}

function packageOf(specifier: string): string {
  const [first = '', second = ''] = specifier.split('/');
  return first.startsWith('@') ? `${first}/${second}` : first;
}

function offenders(isOffence: (file: SourceFile) => boolean): string[] {
  return all.filter(isOffence).map((file) => file.path);
}

/** `process.env` in any spelling: as a member, by destructuring, or imported by name. */
function readsEnvironment(file: SourceFile): boolean {
  return [...walk(file.module)].some((node) => {
    if (node.type === 'MemberExpression') {
      const { object, property } = node;
      const isProcess = isName(object, 'process') || (isNode(object) && isName(object.property, 'process'));
      const isEnv = isName(property, 'env') || (isNode(property) && JSON.stringify(property).includes('"value":"env"'));
      return isProcess && isEnv;
    }
    if (node.type === 'VariableDeclarator') {
      return isName(node.init, 'process') && isNode(node.id) && node.id.type === 'ObjectPattern';
    }
    return (
      node.type === 'ImportDeclaration' && isNode(node.source) && /^(?:node:)?process$/.test(String(node.source.value))
    );
  });
}

function calls(file: SourceFile, name: string): boolean {
  return [...walk(file.module)].some((node) => {
    if (node.type !== 'CallExpression') return false;
    const { callee } = node;
    return isName(callee, name) || (isNode(callee) && isName(callee.property, name));
  });
}

/** Nothing but re-exports, or a file that is named like one. */
function isBarrel(file: SourceFile): boolean {
  const isReexport = (type: string, source: unknown): boolean =>
    type === 'ExportAllDeclaration' || (type === 'ExportNamedDeclaration' && source !== null && source !== undefined);
  const onlyReexports = file.module.body.every((item) => isReexport(item.type, 'source' in item ? item.source : null));
  return onlyReexports || /(?:^|\/)(?:index|mod)\.ts$/.test(file.path);
}

describe('the house', () => {
  it.each([...files])('has files in %s, each with imports or exports that were read', (_room, found) => {
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((file) => file.module.body.length === 0)).toEqual([]);
  });

  it('names every import by a literal that can be checked', () => {
    expect(all.flatMap((file) => file.imports).length).toBeGreaterThan(all.length);
    expect(offenders((file) => file.imports.includes('(not a literal)'))).toEqual([]);
  });

  it('lets a room import only the rooms of its row', () => {
    const forbidden = crossings().filter(
      ({ from, target }) => !rooms[from.room]?.rooms.includes(target.split('/')[0]!),
    );
    expect(forbidden.map(({ line }) => line)).toEqual([]);
  });

  it('lets a room import only the packages of its row', () => {
    const forbidden = all.flatMap((file) =>
      file.imports
        .filter((specifier) => !isOurs(specifier) && !specifier.startsWith('node:'))
        .filter((specifier) => !rooms[file.room]?.packages.includes(packageOf(specifier)))
        .map((specifier) => `${file.path} -> ${specifier}`),
    );
    expect(forbidden).toEqual([]);
  });

  it('keeps input and output out of core, and the embedded store in the vault', () => {
    const forbidden = all.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith('node:'))
        .filter((specifier) =>
          file.room === 'core'
            ? !nodeModulesOfCore.includes(specifier)
            : (roomOfNodeModule[specifier] ?? file.room) !== file.room,
        )
        .map((specifier) => `${file.path} -> ${specifier}`),
    );
    expect(forbidden).toEqual([]);
  });

  it('has no circle of rooms', () => {
    const targets = new Map<string, Set<string>>();
    for (const { from, target } of crossings()) {
      targets.set(from.room, (targets.get(from.room) ?? new Set()).add(target.split('/')[0]!));
    }
    const reaches = (room: string, goal: string, seen: Set<string>): boolean =>
      [...(targets.get(room) ?? [])].some((next) => {
        if (next === goal) return true;
        if (seen.has(next)) return false;
        return reaches(next, goal, seen.add(next));
      });
    expect(targets.size).toBeGreaterThan(0);
    expect([...targets.keys()].filter((room) => reaches(room, room, new Set()))).toEqual([]);
  });

  it('stands in ARCHITECTURE.md as it is held here', () => {
    const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
    const written = new Map(
      [...text.matchAll(/^\| `(\w+)`\s*\|[^|]*\|([^|]*)\|/gm)].map((row) => [row[1]!, row[2]!.trim()] as const),
    );
    for (const [room, { rooms: allowed }] of Object.entries(rooms)) {
      if (room === 'core')
        expect(written.get(room)).toBe(
          `nothing of ours; of Node only ${nodeModulesOfCore.map((name) => `\`${name}\``).join(', ')}`,
        );
      else if (room === 'serve') expect(written.get(room)).toMatch(/^all/);
      else expect([room, written.get(room)]).toEqual([room, allowed.join(', ')]);
    }
  });
});

describe('the habits', () => {
  it('have no folder for things without a name', () => {
    const found = folders('');
    expect(found).toContain('test/support');
    expect(found.filter((path) => path.split('/').some((name) => forbiddenFolders.test(name)))).toEqual([]);
  });

  it('have no barrel file', () => {
    expect(offenders(isBarrel)).toEqual([]);
  });

  it('read the environment at the entry point only', () => {
    expect(offenders(readsEnvironment)).toEqual(environmentReaders);
  });

  it('reveal a secret only where it is injected, and in the vault, which seals it', () => {
    const revealing = offenders((file) => calls(file, 'reveal'));
    expect(revealing).toContainEqual(expect.stringMatching(/^proxy\/inject/));
    expect(revealing.filter((path) => !secretReaders.test(path))).toEqual([]);
  });
});

describe('the version of Node', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } };

  it.each(entryPoints)('is checked by %s', (path) => {
    const file = all.find((candidate) => candidate.path === path);
    expect(file && calls(file, 'nodeVersionProblem')).toBe(true);
  });

  it('is checked before anything else is loaded that an older Node does not have', () => {
    const start = all.find((file) => file.path === 'cli/bin.ts');
    const statically = start?.module.body.filter((item) => item.type === 'ImportDeclaration');
    expect(statically?.map((item) => item.source.value)).toEqual(['../core/node-version.ts']);
    expect(all.find((file) => file.path === 'core/node-version.ts')?.imports).toEqual([]);
  });

  it.each([
    ['v20.20.2', false],
    ['22.22.1', false],
    ['22.22.2', true],
    ['v22.30.0', true],
    ['23.11.0', false],
    ['24.14.9', false],
    ['24.15.0', true],
    ['v24.21.0', true],
    ['25.9.0', false],
    ['26.0.0', true],
    ['v27.1.0-nightly', true],
  ])('%s is told apart in the same way by setup, by the entry points and by package.json', (version, isSupported) => {
    expect(isSupportedNode(version, engines.node)).toBe(isSupported);
    expect(nodeVersionProblem(version) === null).toBe(isSupported);
  });
});
