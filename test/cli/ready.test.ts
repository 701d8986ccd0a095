import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Metrics } from '../../telemetry/metrics.ts';
import { type OpsServer, startOpsServer } from '../../telemetry/ops-server.ts';
import { alter } from './alter.ts';

let reasons: string[] = [];
let server: OpsServer;
let listen: string;

beforeAll(async () => {
  const metrics = new Metrics({ processMetrics: false });
  server = await startOpsServer({ listen: { host: '127.0.0.1', port: 0 }, metrics, ready: () => reasons });
  listen = `127.0.0.1:${server.address.port}`;
});
afterAll(() => server.close());

const ready = (env: Record<string, string>, words: readonly string[] = []) => alter(['ready', ...words], { env });

describe('alter ready', () => {
  it('ends with 0 where the service takes requests, wherever it is told to look', async () => {
    const yes = { code: 0, stdout: 'ready\n', stderr: '' };
    const directory = mkdtempSync(join(tmpdir(), 'alter-ready-'));
    const file = join(directory, 'listen');
    writeFileSync(file, `${listen}\n`);
    const everywhere = listen.replace('127.0.0.1', '0.0.0.0');
    const ended = await Promise.all([
      ready({ ALTER_OPS_LISTEN: listen }),
      ready({ ALTER_OPS_LISTEN: everywhere, HTTP_PROXY: 'http://127.0.0.1:9', NODE_USE_ENV_PROXY: '1' }),
      ready({ ALTER_OPS_LISTEN_FILE: file }),
      ready({ ALTER_OPS_LISTEN: '127.0.0.1:9' }, ['--ops-url', `http://${listen}`]),
    ]);
    expect(ended).toEqual([yes, yes, yes, yes]);
    rmSync(directory, { recursive: true });
  });

  it('ends with 1 and the reasons where it is not ready, or does not answer', async () => {
    reasons = ['store', 'draining'];
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const silentAt = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    try {
      const [not, nothing, hanging] = await Promise.all([
        ready({ ALTER_OPS_LISTEN: listen }),
        ready({ ALTER_OPS_LISTEN: '127.0.0.1:9' }),
        ready({ ALTER_OPS_LISTEN: silentAt }),
      ]);
      expect(not).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringContaining('Not ready: store, draining.'),
      });
      expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining('connection refused') });
      expect(hanging).toMatchObject({ code: 1, stderr: expect.stringContaining('no answer within 2.5 s') });
    } finally {
      reasons = [];
      silent.close();
    }
  });

  it('ends with 2 where it is told no address', async () => {
    expect(await ready({ ALTER_OPS_LISTEN: 'here' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ALTER_OPS_LISTEN: "here" is not host:port.'),
    });
    expect((await ready({}, ['--ops-url', 'ftp://a'])).code).toBe(2);
    expect((await ready({ ALTER_OPS_LISTEN_FILE: '/nonexistent' })).code).toBe(2);
  });
});
