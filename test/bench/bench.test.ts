import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Load } from '../../bench/case.ts';
import { findCases } from '../../bench/cases.ts';
import { findGeneratorProblem } from '../../bench/compile.ts';
import type { Contender } from '../../bench/contender.ts';
import { contenders } from '../../bench/contenders.ts';
import { drawFlame } from '../../bench/flame.ts';
import { generate } from '../../bench/generator.ts';
import { alterFromSource } from '../../bench/peers/alter.ts';
import { direct } from '../../bench/peers/direct.ts';
import { findProbes } from '../../bench/probes.ts';
import { firstLineOf } from '../../bench/processes.ts';
import { firstEvent } from '../../bench/streams.ts';
import { spreadOf, summarize } from '../../bench/summary.ts';
import { judge, targets } from '../../bench/targets.ts';
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

  it('sets targets about cases, contenders, figures and probes that there are', async () => {
    const cases = await findCases();
    const probes = await findProbes();
    for (const { measured } of targets) {
      if ('probe' in measured) {
        expect(probes.map(({ name }) => name)).toContain(measured.probe);
        continue;
      }
      const subject = cases.find(({ name }) => name === measured.case)!;
      if ('contender' in measured) {
        expect(subject.contenders).toContain(measured.contender);
        expect(subject.figures.map(({ title }) => title)).toContain(measured.figure);
      } else expect(subject.ratios).toContainEqual([measured.of, measured.to]);
    }
  });

  it('says of a target whether it is met, and whether every round says so', () => {
    const [target] = targets;
    const judged = (min: number, median: number, max: number) =>
      judge({ ...target!, is: 'at most', limit: 1 }, { min, median, max });
    expect(judged(0.7, 0.8, 0.9)).toBe('met');
    expect(judged(0.7, 1, 1.1)).toBe('met, not in every round');
    expect(judged(0.9, 1.1, 1.2)).toBe('not met, though in some rounds');
    expect(judged(1.1, 1.2, 1.3)).toBe('not met');
    expect(judge({ ...target!, is: 'at least', limit: 1.7 }, { min: 1.8, median: 1.9, max: 2 })).toBe('met');
  });

  it('draws who called whom, as wide as it took, and leaves out what was sampled before or while idle', () => {
    const frame = (functionName: string) => ({ functionName, url: '', lineNumber: 0 });
    const svg = drawFlame({
      profile: {
        nodes: [
          { id: 1, callFrame: frame('(root)'), children: [2, 4] },
          { id: 2, callFrame: frame('serve'), children: [3] },
          { id: 3, callFrame: frame('read<head>') },
          { id: 4, callFrame: frame('(idle)') },
        ],
        startTime: 0,
        samples: [2, 3, 3, 2, 4],
        timeDeltas: [10, 100, 100, 100, 100],
      },
      window: { from: 50, to: 1_000 },
      title: 'a & b',
      nameOf: ({ functionName }) => functionName,
    });
    expect(svg).toContain('a &amp; b');
    expect(svg).toContain('<title>serve – 100.00 %</title>');
    expect(svg).toContain('<title>read&lt;head&gt; – 66.67 %</title>');
    expect(svg).not.toContain('idle');
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

  it('times the first event of a stream that goes on, and echoes of frames over WebSockets', async () => {
    const running = await direct.start({ directory, upstream, profileDirectory: null });
    const ask = (special: Load) => generate({ load: special, route: running.route, seconds: 0.2, atReady: () => {} });
    const common = { connections: 4, path: '/events' } as const;
    const events = await ask({ ...common, mode: 'tunnel', firstByte: true, expectBytes: firstEvent.length });
    expect(events).toMatchObject({ errors: 0, firstError: '' });
    expect(events.requests).toBeGreaterThan(5);
    const frames = await ask({ connections: 4, mode: 'socket', path: '/socket' });
    expect(frames).toMatchObject({ errors: 0, firstError: '' });
    expect(frames.requests).toBeGreaterThan(20);
    const noSocket = await ask({ connections: 1, mode: 'socket', path: '/small' });
    expect(noSocket).toMatchObject({ requests: 0, firstError: expect.stringMatching(/^status 200/) });
  });

  it('counts an answer without the credential as an error', async () => {
    const { result, bare } = await tryContender(direct);
    expect(result.errors).toBe(0);
    expect(bare).toMatchObject({ requests: 0, firstError: expect.stringMatching(/^status 401/) });
  });
});
