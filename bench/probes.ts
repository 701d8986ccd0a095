import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Probe, ProbeSummary } from './probe.ts';
import { spreadOf } from './summary.ts';
import type { Upstream } from './upstream.ts';

const folder = join(import.meta.dirname, 'probes');

/** Of every file in `probes/`, by name. */
export async function findProbes(): Promise<Probe[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  const probes: Probe[] = [];
  for (const file of files.sort()) probes.push(((await import(join(folder, file))) as { readonly probe: Probe }).probe);
  return probes;
}

export async function runProbe(of: {
  readonly probe: Probe;
  readonly directory: string;
  readonly upstream: Upstream;
  readonly rounds: number;
}): Promise<ProbeSummary> {
  const { name, title, figure, digits, measure } = of.probe;
  const directory = join(of.directory, `probe-${name}`);
  mkdirSync(directory);
  try {
    const values = await measure({ directory, upstream: of.upstream, rounds: of.rounds });
    return { name, title, figure, digits, values, spread: spreadOf(values) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
