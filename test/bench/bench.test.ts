import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findCases } from '../../bench/cases.ts';
import { findGeneratorProblem } from '../../bench/compile.ts';
import type { Contender } from '../../bench/contender.ts';
import { contenders } from '../../bench/contenders.ts';
import { generate } from '../../bench/generator.ts';
import { alterFromSource } from '../../bench/peers/alter.ts';
import { direct } from '../../bench/peers/direct.ts';
import { firstLineOf } from '../../bench/processes.ts';
import { spreadOf, summarize } from '../../bench/summary.ts';
import { smallJson, startUpstream, type Upstream } from '../../bench/upstream.ts';

const load = { mode: 'keep-alive', connections: 4, path: '/small', expectBytes: smallJson.length } as const;
const problem =
  findGeneratorProblem() ?? (firstLineOf('nginx', ['-v']) === null ? 'nginx, its upstream, is not installed' : null);
const here = problem === null ? describe : describe.skip;

describe('the benchmark', () => {
  it('has cases with names of their own, about contenders that there are', async () => {
    const cases = await findCases();
    expect(cases.length).toBeGreaterThan(0);
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    const names = contenders.map(({ name }) => name);
    for (const subject of cases) {
      expect(names).toEqual(expect.arrayContaining([...subject.contenders, ...subject.ratios.flat()]));
    }
  });

  it('gives the median of the rounds and their range', () => {
    expect(spreadOf([3, 1, null, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(spreadOf([null])).toBeNull();
  });

  it('makes ratios round by round', async () => {
    const [subject] = await findCases();
    const round = (cpuSeconds: number) => ({ cpuSeconds, load: { requests: 10, errors: 0, requestsPerSecond: 1 } });
    const samples = new Map([
      ['alter', [round(1), round(8)]],
      ['squid', [round(2), round(4)]],
    ]) as unknown as Parameters<typeof summarize>[1];
    expect(summarize(subject!, samples).ratios[0]).toMatchObject({
      of: 'alter',
      to: 'squid',
      ratio: { median: 1.25, min: 0.5, max: 2 },
    });
  });
});

here(problem === null ? 'the generator' : `the generator (skipped: ${problem})`, () => {
  let directory: string;
  let upstream: Upstream;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'alter-bench-test-'));
    chmodSync(directory, 0o711);
    upstream = await startUpstream(directory);
  });
  afterAll(async () => {
    await upstream.stop();
    rmSync(directory, { recursive: true });
  });

  /** One second through a contender, by its name. */
  async function tryContender(contender: Contender) {
    const own = join(directory, contender.name);
    mkdirSync(own);
    const running = await contender.start({ directory: own, upstream, profileDirectory: null });
    try {
      const result = await generate({ load, route: running.route, seconds: 1, atReady: () => {} });
      const { headers } = running.route;
      const withoutCredential = {
        ...running.route,
        headers: headers.filter((line) => !line.startsWith('Authorization')),
      };
      const bare = await generate({ load, route: withoutCredential, seconds: 0.1, atReady: () => {} });
      // Only an opened tunnel shows a certificate that is not of the upstream's authority.
      const otherCa = {
        ...running.route,
        caFile: upstream.caFile,
      };
      const untrusted = await generate({ load, route: otherCa, seconds: 0.1, atReady: () => {} });
      return { result, bare, untrusted };
    } finally {
      await running.stop();
    }
  }

  it('counts answers of ours, into which the credential was put, under the CA of ours', async () => {
    const { result, untrusted } = await tryContender(alterFromSource);
    expect(result).toMatchObject({ errors: 0, firstError: '', tls: 'TLSv1.3' });
    expect(result.requests).toBeGreaterThan(50);
    expect(result.p99Us).toBeGreaterThanOrEqual(result.p50Us);
    expect(untrusted.firstError).toMatch(/certificate verify failed/);
  });

  it('counts an answer without the credential as an error', async () => {
    const { result, bare } = await tryContender(direct);
    expect(result.errors).toBe(0);
    expect(bare).toMatchObject({ requests: 0, firstError: expect.stringMatching(/^status 401/) });
  });
});
