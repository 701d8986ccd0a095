import { isDeepStrictEqual } from 'node:util';

export interface PatchOperation {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

/** RFC 6902, as far as API servers and webhooks use it here: `add` and `test`. The document is not changed. */
export function applyJsonPatch<T>(document: T, patch: readonly PatchOperation[]): T {
  const result = structuredClone(document);
  for (const { op, path, value } of patch) {
    const steps = path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = steps.pop();
    if (last === undefined) throw new Error('The whole document is no path here.');
    let at: unknown = result;
    for (const step of steps) at = member(at, step);
    if (typeof at !== 'object' || at === null) throw new Error(`${path} is not there.`);
    if (op === 'test') {
      if (!isDeepStrictEqual(member(at, last), value)) throw new Error(`${path} is not what the test wants.`);
    } else if (op !== 'add') throw new Error(`${op} is not known here.`);
    else if (Array.isArray(at)) at.splice(last === '-' ? at.length : Number(last), 0, structuredClone(value));
    else Object.assign(at, { [last]: structuredClone(value) });
  }
  return result;
}

function member(of: unknown, name: string): unknown {
  if (typeof of !== 'object' || of === null || !Object.hasOwn(of, name)) throw new Error(`${name} is not there.`);
  return (of as Readonly<Record<string, unknown>>)[name];
}
