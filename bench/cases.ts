import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from './case.ts';

const folder = join(import.meta.dirname, 'cases');
/** What the reader wants to see first. All others follow by name. */
const first = ['keep-alive', 'new-tunnel', 'bulk', 'idle-tunnels'];

/** Of every file in `cases/`. */
export async function findCases(): Promise<Case[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  const names = files.map((file) => file.slice(0, -'.ts'.length)).sort();
  const found: Case[] = [];
  for (const name of new Set([...first.filter((one) => names.includes(one)), ...names]))
    found.push(...((await import(join(folder, `${name}.ts`))) as { readonly cases: readonly Case[] }).cases);
  return found;
}
