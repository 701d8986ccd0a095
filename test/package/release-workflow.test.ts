import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { root } from '../support/source-files.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const text = read('.github/workflows/release.yml');

interface Job {
  readonly needs?: string | readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly environment?: string;
  readonly steps: readonly { readonly uses?: string; readonly run?: string; readonly with?: Record<string, unknown> }[];
}
const { on, permissions, jobs } = parse(text) as {
  on: unknown;
  permissions: unknown;
  jobs: Readonly<Record<string, Job>>;
};
const runs = (name: string): string => jobs[name]!.steps.map(({ run = '' }) => run).join('\n');

/** Read as text: no runner is at hand that could run it. */
describe('the release workflow', () => {
  it('starts at a tag alone, and publishes only what every check has passed', () => {
    expect(on).toEqual({ push: { tags: ['v*.*.*'] } });
    expect(runs('check')).toContain('.ci/run');
    for (const name of ['npm', 'image']) expect(jobs[name]!.needs).toBe('check');
    expect(jobs.chart!.needs).toBe('image');
    expect(jobs.notes!.needs).toEqual(['npm', 'image', 'chart']);
  });

  it('gives each job what it needs, and keeps no token: no secret is named in it', () => {
    expect(permissions).toEqual({});
    expect(text).not.toMatch(/secrets\./);
    for (const [name, job] of Object.entries(jobs)) {
      expect([name, job.permissions]).toEqual([name, expect.anything()]);
      const writes = Object.entries(job.permissions!).filter(([, access]) => access === 'write');
      const expected = { check: [], npm: ['id-token'], notes: ['contents'] }[name] ?? ['packages', 'id-token'];
      expect([name, writes.map(([scope]) => scope)]).toEqual([name, expected]);
      for (const step of job.steps)
        if (step.uses?.startsWith('actions/checkout')) expect(step.with).toEqual({ 'persist-credentials': false });
    }
  });

  it('shows where each thing comes from, and signs by digest', () => {
    expect(runs('npm')).toContain('npm publish --provenance --access public --ignore-scripts');
    expect(runs('image')).toMatch(/--provenance=mode=max --sbom=true/);
    for (const name of ['image', 'chart']) expect(runs(name)).toMatch(/cosign sign --yes "[^"]*@\$/);
    expect(runs('notes')).toContain('node setup/sbom.ts');
  });

  it('puts nothing that a tag can hold into a command but by the environment', () => {
    for (const [name, { steps }] of Object.entries(jobs))
      for (const { run = '' } of steps) expect([name, run]).toEqual([name, expect.not.stringContaining('${{')]);
  });

  it('packs the chart with the helm that the chart is tested with', () => {
    const [, version] = /cmd\/helm@(v[\d.]+)'/.exec(read('setup/chart-tools.mjs'))!;
    expect(jobs.chart!.steps.map((step) => step.with?.version)).toContain(version);
  });

  it('does what docs/releasing.md has by hand', () => {
    const page = read('docs/releasing.md').replaceAll(/\\\n\s*/g, '');
    for (const command of [
      'npm publish --provenance',
      'docker buildx build --platform',
      'cosign sign --yes',
      'helm push',
    ])
      expect([command, text.includes(command), page.includes(command)]).toEqual([command, true, true]);
  });
});
