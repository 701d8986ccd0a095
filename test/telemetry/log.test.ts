import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { AlterError } from '../../core/errors.ts';
import { createLog, type Log, type LogFields, type LogLevel, summarizeError } from '../../telemetry/log.ts';

const canary = 'sk_live_canary';

function logged(
  write: (log: Log) => void,
  level: LogLevel = 'debug',
): { lines: Record<string, unknown>[]; text: string } {
  let text = '';
  write(createLog({ level, stream: { write: (line: string) => (text += line) } }));
  const lines = text.split('\n').filter((line) => line !== '');
  return { text, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('a log line', () => {
  it('is JSON with level, time, process, message and the fields that are listed', () => {
    const { lines } = logged((log) =>
      log.info('request refused', { request_id: 'r', code: 'key_invalid', status: 407 }),
    );
    expect(lines).toEqual([
      {
        ...{ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/) as unknown, pid: process.pid },
        ...{ message: 'request refused', request_id: 'r', code: 'key_invalid', status: 407 },
      },
    ]);
  });

  it('leaves out whatever is not listed, whatever is not a plain value, and what is not known', () => {
    const careless = { authorization: canary, headers: { a: canary }, host: { toString: () => canary }, app_id: null };
    const { lines, text } = logged((log) => log.warn('careless', careless as unknown as LogFields));
    expect(text).not.toContain(canary);
    expect(Object.keys(lines[0]!)).toEqual(['level', 'time', 'pid', 'message']);
  });

  it('stays one line, however long and broken its values are', () => {
    const { lines, text } = logged((log) =>
      log.error('x'.repeat(10_000), { host: `a\n{"level":"info"}${'y'.repeat(10_000)}` }),
    );
    expect(lines).toHaveLength(1);
    expect(text.length).toBeLessThan(2_000);
  });

  it('is written from its level upwards', () => {
    const write = (log: Log): void => {
      log.debug('1');
      log.info('2');
      log.warn('3');
      log.error('4');
    };
    expect(logged(write, 'warn').lines.map((line) => line.level)).toEqual(['warn', 'error']);
    expect(logged(write, 'silent').text).toBe('');
  });

  it('reaches standard error before the process exits', () => {
    const script = `const { createLog } = await import('${new URL('../../telemetry/log.ts', import.meta.url).href}');
      const log = createLog({ level: 'info' });
      for (let i = 0; i < 1000; i++) log.info('line', { count: i });
      process.exit(0);`;
    const text = execFileSync('sh', ['-c', 'exec "$0" --input-type=module -e "$1" 2>&1', process.execPath, script], {
      encoding: 'utf8',
    });
    expect(text.trim().split('\n')).toHaveLength(1_000);
  });
});

describe('an error in the log', () => {
  it('is reduced to name, code, message and the names of its causes, if it is ours', () => {
    const cause = Object.assign(new TypeError(canary, { cause: new RangeError(canary) }), {
      code: 'ECONNREFUSED',
      key: canary,
    });
    const summary = summarizeError(new AlterError('upstream_refused', { cause }));
    expect(summary).toEqual({
      ...{ name: 'AlterError', code: 'upstream_refused', message: 'The upstream could not be reached.' },
      causes: ['TypeError ECONNREFUSED', 'RangeError'],
    });
  });

  it('never shows the message or the properties of a foreign error, only where it was raised', () => {
    const error = Object.assign(new SyntaxError(`bad ${canary}\n    at ${canary} (/etc/${canary}:1:1)`), {
      body: canary,
      code: 'E',
    });
    const { text, lines } = logged((log) => log.error('failed', { error }));
    expect(text).not.toContain(canary);
    expect(lines[0]).toMatchObject({ error: { name: 'SyntaxError', code: 'E' } });
    expect(summarizeError(error).at?.[0]).toMatch(/log\.test\.ts:\d+:\d+$/);
  });

  it('is safe when it is no error, a circle of causes, or lies about its name, code and stack', () => {
    expect(summarizeError(canary)).toEqual({ name: 'string' });
    expect(summarizeError(null)).toEqual({ name: 'object' });
    const circle = new Error('circle');
    circle.cause = circle;
    expect(summarizeError(circle).causes).toHaveLength(8);
    const liar = Object.assign(new Error(canary), {
      name: canary,
      code: `a ${canary}`,
      stack: `at x (/${canary}:1:1)`,
    });
    expect(JSON.stringify(summarizeError(liar))).not.toContain(canary);
  });
});
