import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { run } from '../support/rig.ts';

const script = (surprise: string): string => `
  const { createLog } = await import(${JSON.stringify(resolve('telemetry/log.ts'))});
  const { endOnSurprise } = await import(${JSON.stringify(resolve('serve/last-words.ts'))});
  endOnSurprise(createLog({ level: 'info' }));
  setTimeout(() => {}, 60_000);
  ${surprise}
`;

describe('an error that nobody caught', () => {
  it.each([
    ['thrown', "setTimeout(() => { throw new TypeError('sk_live_canary'); }, 1);"],
    ['rejected', "void Promise.reject(new TypeError('sk_live_canary'));"],
    ['that is no error', "setTimeout(() => { throw 'sk_live_canary'; }, 1);"],
  ])('ends the process with a line in the log that does not quote it (%s)', async (_, surprise) => {
    const { code, stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script(surprise)], {});
    expect(code).toBe(70);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', message: expect.stringContaining('nobody caught') });
    expect(stdout + stderr).not.toContain('canary');
  });
});
