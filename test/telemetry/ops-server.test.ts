import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Metrics } from '../../telemetry/metrics.ts';
import { type OpsServer, startOpsServer } from '../../telemetry/ops-server.ts';

const metrics = new Metrics({ processMetrics: false });
let reasons: string[] = [];
let server: OpsServer;
let base: string;

beforeAll(async () => {
  server = await startOpsServer({ listen: { host: '127.0.0.1', port: 0 }, metrics, ready: () => reasons });
  base = `http://127.0.0.1:${server.address.port}`;
});
afterAll(() => server.close());

describe('the ops listener', () => {
  it('says that the process lives, and whether it should get traffic', async () => {
    expect((await fetch(`${base}/livez`)).status).toBe(200);
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
    reasons = ['store', 'draining'];
    const response = await fetch(`${base}/readyz`);
    expect(response.status).toBe(503);
    expect(await response.text()).toBe('store\ndraining\n');
    expect((await fetch(`${base}/livez`)).status).toBe(200);
    reasons = [];
  });

  it('shows what was counted, in the format of Prometheus', async () => {
    metrics.countRequest('allow', null);
    metrics.countRequest('deny', 'key_invalid');
    metrics.countUpstreamError('upstream_tls');
    metrics.countSecurityEvent('record_rejected');
    metrics.countCredentialRejected();
    metrics.observeRequest(12);
    metrics.observeAuditAppend(0.2);
    metrics.tunnelOpened('blind');
    metrics.tunnelOpened('intercepted');
    metrics.tunnelClosed();
    metrics.connectionOpened();
    const response = await fetch(`${base}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const lines = (await response.text()).split('\n');
    for (const line of [
      'alter_requests_total{decision="allow",code="none"} 1',
      'alter_requests_total{decision="deny",code="key_invalid"} 1',
      'alter_upstream_errors_total{code="upstream_tls"} 1',
      'alter_upstream_errors_total{code="upstream_dns"} 0',
      'alter_security_events_total{kind="record_rejected"} 1',
      'alter_credentials_rejected_total 1',
      'alter_request_duration_seconds_bucket{le="0.01"} 0',
      'alter_request_duration_seconds_bucket{le="0.025"} 1',
      'alter_audit_append_seconds_bucket{le="0.00025"} 1',
      'alter_tunnels_total{kind="blind"} 1',
      'alter_tunnels_open 1',
      'alter_connections_open 1',
    ]) {
      expect(lines).toContain(line);
    }
  });

  it('has counts of its own in every instance', async () => {
    expect(await new Metrics({ processMetrics: true }).render()).toMatch(/alter_connections_open 0\n.*process_cpu/s);
  });

  it('answers other paths with 404 and other methods with 405', async () => {
    expect((await fetch(`${base}/`)).status).toBe(404);
    const response = await fetch(`${base}/metrics`, { method: 'POST', body: 'x' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    expect(response.headers.get('connection')).toBe('close');
  });

  it('closes a connection whose request never ends', async () => {
    const socket = connect(server.address.port, '127.0.0.1');
    socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n');
    socket.resume();
    await once(socket, 'close');
  }, 10_000);

  it('survives what is not HTTP', async () => {
    const socket = connect(server.address.port, '127.0.0.1');
    socket.end('\x16\x03\x01\x00\x00 not http\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
    expect((await fetch(`${base}/livez`)).status).toBe(200);
  });

  it('names its setting when the address is taken', async () => {
    const second = startOpsServer({ listen: server.address, metrics, ready: () => [] });
    await expect(second).rejects.toMatchObject({
      code: 'config_invalid',
      hint: expect.stringContaining('ALTER_OPS_LISTEN'),
    });
  });
});
