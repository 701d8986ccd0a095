import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import {
  basic,
  exchangeRaw,
  mustOpen,
  type OpenedTunnel,
  openTunnel,
  type RawResponse,
} from '../support/tunnel-client.ts';

type Tunnel = Extract<OpenedTunnel, { kind: 'open' }>;

describe('policies at the proxy', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open();
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(async () => {
    for (const path of ['/policy', `/managed-secrets/${secret.id}/policy`, `/grants/${secret.grantId}/policy`])
      await rig.admin('PUT', path, {});
    rig.sink().forget();
  });
  afterAll(() => rig?.close());

  const tunnelOptions = (headers: readonly string[] = []) => ({
    ...{ proxyPort: rig.proxyPort, target: rig.authorityOf(), key, serverName: 'a.test', headers },
    ca: rig.service.authorityPem,
  });
  const ask = async (tunnel: Tunnel, line: string, headers: readonly string[] = []): Promise<RawResponse> => {
    const head = [`${line} HTTP/1.1`, `Host: ${rig.authorityOf()}`, `X-Alter-Grant: ${secret.grantId}`, ...headers];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n`);
    return tunnel.reader.next();
  };
  const outcome = ({ status, body }: RawResponse): unknown =>
    status === 200 ? 200 : (JSON.parse(body) as { policy_error: string }).policy_error;
  /** A change is at the proxy as soon as the feed has delivered it. */
  const becomes = (tunnel: Tunnel, line: string, wanted: unknown): Promise<void> =>
    eventually(async () => outcome(await ask(tunnel, line)) === wanted);

  it.each(['app', 'secret', 'grant'] as const)(
    'of the %s take effect on an open connection, and end when they are taken away',
    async (level) => {
      const path = {
        app: '/policy',
        secret: `/managed-secrets/${secret.slug}/policy`,
        grant: `/grants/${secret.grantId}/policy`,
      };
      const tunnel = await mustOpen(tunnelOptions());
      expect((await ask(tunnel, 'POST /v1/charges')).status).toBe(200);
      await rig.admin('PUT', path[level], { methods: ['GET'] });
      await becomes(tunnel, 'POST /v1/charges', 'method_not_allowed');
      const refused = await ask(tunnel, 'POST /v1/charges');
      expect(refused).toMatchObject({ status: 403, headers: { 'x-alter-error': 'policy_violation' } });
      expect((await ask(tunnel, 'GET /v1/charges')).status).toBe(200);
      await rig.admin('PUT', path[level], {});
      await becomes(tunnel, 'POST /v1/charges', 200);
      tunnel.socket.destroy();
    },
  );

  it('want a reason where they say so, and record the one that was given', async () => {
    await rig.admin('PUT', `/grants/${secret.grantId}/policy`, { require_reason: true });
    const tunnel = await mustOpen(tunnelOptions());
    await becomes(tunnel, 'GET /', 'reason_required');
    expect(outcome(await ask(tunnel, 'GET /', ['X-Alter-Reason: invoice 17']))).toBe(200);
    expect(rig.sink().requests.at(-1)!.all('x-alter-reason')).toEqual([]);
    tunnel.socket.destroy();
  });

  it('let a CONNECT with the grant through, whatever they say of methods, paths, reasons and rates', async () => {
    await rig.admin('PUT', `/grants/${secret.grantId}/policy`, {
      ...{ methods: ['GET'], paths: ['/v1/**'], require_reason: true },
      rate_limit: { requests: 1, per_seconds: 3_600 },
    });
    const grant = [`X-Alter-Grant: ${secret.grantId}`];
    for (let i = 0; i < 3; i++) (await mustOpen(tunnelOptions(grant))).socket.destroy();
    const tunnel = await mustOpen(tunnelOptions([...grant, 'X-Alter-Reason: for the tunnel']));
    await becomes(tunnel, 'GET /v2/charges', 'path_not_allowed');
    expect(outcome(await ask(tunnel, 'PUT /v1/charges'))).toBe('method_not_allowed');
    expect(outcome(await ask(tunnel, 'GET /v1/charges'))).toBe(200); // with the reason of the CONNECT
    const second = await ask(tunnel, 'GET /v1/charges');
    expect(second).toMatchObject({ status: 429, headers: { 'x-alter-error': 'rate_limited' } });
    expect(Number(second.headers['retry-after'])).toBeGreaterThan(0);
    tunnel.socket.destroy();
  });

  it('refuse a CONNECT with the grant from another address or at another time, before any tunnel stands', async () => {
    for (const [policy, error] of [
      [{ ip_allowlist: ['192.0.2.0/24'] }, 'ip_not_allowed'],
      [{ time_window: { days: [yesterday()], start: '00:00', end: '24:00' } }, 'time_wrong_weekday'],
    ] as const) {
      await rig.admin('PUT', `/grants/${secret.grantId}/policy`, policy);
      await eventually(async () => {
        const tunnel = await openTunnel(tunnelOptions([`X-Alter-Grant: ${secret.grantId}`]));
        if (tunnel.kind === 'open') tunnel.socket.destroy();
        return (
          tunnel.kind === 'refused' &&
          tunnel.answer.status === 403 &&
          tunnel.answer.headers['x-alter-error'] === 'policy_violation'
        );
      });
      // A refusal waits for nothing, so that its record may be a moment late.
      await eventually(async () => {
        const { items } = await rig.admin<{ items: { policy_error: string; decision: string }[] }>(
          'GET',
          '/audit?limit=1&event=tunnel.decided',
        );
        return items[0]?.policy_error === error && items[0].decision === 'deny';
      });
    }
  });

  it('leave traffic without a grant to the egress mode, which an app may choose for itself', async () => {
    const connect = () =>
      exchangeRaw(
        rig.proxyPort,
        `CONNECT b.test:9 HTTP/1.1\r\nHost: b.test:9\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`,
      );
    expect((await connect()).headers['x-alter-error']).not.toBe('egress_denied');
    expect(await rig.admin('PATCH', `/v1/apps/${rig.appId}`, { egress_mode: 'deny' })).toMatchObject({
      egress_mode: 'deny',
    });
    await eventually(async () => (await connect()).headers['x-alter-error'] === 'egress_denied');
    await rig.admin('PATCH', `/v1/apps/${rig.appId}`, { egress_mode: null });
    await eventually(async () => (await connect()).headers['x-alter-error'] !== 'egress_denied');
  });

  it('are explained as they would be applied, with nothing sent', async () => {
    await rig.admin('PUT', `/managed-secrets/${secret.id}/policy`, {
      paths: ['/v1/**'],
      ip_allowlist: ['127.0.0.0/8'],
    });
    const url = `https://${rig.authorityOf()}/v2/x`;
    const explained = await rig.admin('POST', `/grants/${secret.grantId}/explain`, { method: 'GET', url });
    expect(explained).toMatchObject({
      ...{ decision: 'deny', code: 'policy_violation', policy_error: 'path_not_allowed', level: 'secret' },
      rule: 'secret.policy.paths',
    });
    const ok = { method: 'GET', url: url.replace('v2', 'v1') };
    expect(await rig.admin('POST', `/grants/${secret.grantId}/explain`, ok)).toMatchObject({
      policy_error: 'ip_not_allowed',
    });
    const local = { ...ok, client_ip: '127.0.0.1' };
    expect(await rig.admin('POST', `/grants/${secret.grantId}/explain`, local)).toMatchObject({ decision: 'allow' });
    expect(rig.sink().requests).toEqual([]);
  });
});

function yesterday(): string {
  return ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][(new Date().getUTCDay() + 6) % 7]!;
}

/*
 * The clock of the service is moved under one open connection. It only moves forward, years ahead of the certificates,
 * which the open connection does not look at again.
 */
describe('a policy of time', () => {
  const clock = { now: Date.now() };
  const zone = 'America/New_York';
  const policies = {
    'the small hours': { time_window: { timezone: zone, start: '01:30', end: '03:15' } },
    'Saturday night': { time_window: { timezone: zone, days: ['sat'], start: '22:00', end: '02:00' } },
    'business hours': { timezone: 'Europe/Berlin', business_hours_only: true, weekdays_only: true },
    'until 2032': { expires_at: '2032-01-01T00:00:00Z' },
    'the last of February': { time_window: { days: ['sun'], start: '00:00', end: '24:00' } },
  };
  let rig: Rig;
  let tunnel: Tunnel;
  const grants = new Map<string, string>();

  beforeAll(async () => {
    rig = await Rig.open({ clock: () => clock.now });
    for (const [name, grant_policy] of Object.entries(policies)) {
      const { id, grantId } = await rig.storeSecret({ hosts: [rig.authorityOf()], name });
      const before = await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${id}/grants`, {
        principal_type: 'system',
        label: name,
        grant_policy,
      });
      await rig.admin('POST', `/grants/${grantId}/revoke`, {});
      grants.set(name, before.grant_id);
    }
    tunnel = await mustOpen({
      ...{ proxyPort: rig.proxyPort, target: rig.authorityOf(), key: (await rig.mintKey()).key, serverName: 'a.test' },
      ca: rig.service.authorityPem,
    });
  });
  afterAll(() => rig?.close());

  const ask = (name: string, path = '/'): Promise<RawResponse> => {
    const grant = grants.get(name)!;
    tunnel.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${grant}\r\n\r\n`);
    return tunnel.reader.next();
  };

  it.each<[name: keyof typeof policies, at: string, what: string, wanted: string]>([
    // 9 March 2031: at 02:00 the clocks of New York go to 03:00
    ['the small hours', '2031-03-09T06:29:59Z', '01:29:59 EST', 'time_outside_window'],
    ['the small hours', '2031-03-09T06:30:00Z', '01:30 EST', 'ok'],
    ['the small hours', '2031-03-09T06:59:59Z', '01:59:59 EST', 'ok'],
    ['the small hours', '2031-03-09T07:00:00Z', '03:00 EDT', 'ok'],
    ['the small hours', '2031-03-09T07:14:59Z', '03:14:59 EDT', 'ok'],
    ['the small hours', '2031-03-09T07:15:00Z', '03:15 EDT', 'time_outside_window'],
    // 30 March 2031: Berlin goes to summer time
    ['business hours', '2031-03-28T08:00:00Z', 'Friday 09:00 CET', 'ok'],
    ['business hours', '2031-03-28T16:00:00Z', 'Friday 17:00 CET', 'time_outside_window'],
    ['business hours', '2031-03-29T10:00:00Z', 'a Saturday', 'time_wrong_weekday'],
    ['business hours', '2031-03-31T07:00:00Z', 'Monday 09:00 CEST', 'ok'],
    ['business hours', '2031-03-31T15:00:00Z', 'Monday 17:00 CEST', 'time_outside_window'],
    // 2 November 2031: at 02:00 they go back to 01:00, and 01:30 comes twice
    ['the small hours', '2031-11-02T05:30:00Z', '01:30 EDT', 'ok'],
    ['the small hours', '2031-11-02T05:59:59Z', '01:59:59 EDT', 'ok'],
    ['the small hours', '2031-11-02T06:00:00Z', '01:00 EST', 'time_outside_window'],
    ['the small hours', '2031-11-02T06:30:00Z', '01:30 EST', 'ok'],
    ['the small hours', '2031-11-02T08:14:59Z', '03:14:59 EST', 'ok'],
    ['the small hours', '2031-11-02T08:15:00Z', '03:15 EST', 'time_outside_window'],
    // the night from Saturday, 8 November 2031
    ['Saturday night', '2031-11-08T06:00:00Z', 'Saturday 01:00, the night of Friday', 'time_wrong_weekday'],
    ['Saturday night', '2031-11-09T02:59:59Z', 'Saturday 21:59:59', 'time_outside_window'],
    ['Saturday night', '2031-11-09T03:00:00Z', 'Saturday 22:00', 'ok'],
    ['Saturday night', '2031-11-09T05:00:00Z', 'midnight', 'ok'],
    ['Saturday night', '2031-11-09T06:59:59Z', 'Sunday 01:59:59', 'ok'],
    ['Saturday night', '2031-11-09T07:00:00Z', 'Sunday 02:00', 'time_wrong_weekday'],
    ['Saturday night', '2031-11-10T03:00:00Z', 'Sunday 22:00', 'time_wrong_weekday'],
    ['until 2032', '2031-12-31T23:59:59.999Z', 'the last millisecond', 'ok'],
    ['until 2032', '2032-01-01T00:00:00Z', 'its end', 'grant_expired'],
    ['the last of February', '2032-02-28T23:59:59Z', 'Saturday', 'time_wrong_weekday'],
    ['the last of February', '2032-02-29T00:00:00Z', 'the leap day, a Sunday', 'ok'],
    ['the last of February', '2032-03-01T00:00:00Z', 'Monday', 'time_wrong_weekday'],
  ])('for %s answers at %s (%s): %s', async (name, at, _what, wanted) => {
    clock.now = Date.parse(at);
    const { status, body } = await ask(name);
    const told = status === 200 ? null : (JSON.parse(body) as { code: string; policy_error?: string });
    expect(told === null ? 'ok' : (told.policy_error ?? told.code)).toBe(wanted);
  });

  it('also ends a stream that is under way, within two seconds', async () => {
    clock.now = Date.parse('2032-03-01T09:00:00Z');
    rig.sink().answer = (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 1\n\n');
    };
    const answer = ask('business hours', '/events');
    await eventually(() => tunnel.reader.buffered.includes('data: 1') || rig.sink().requests.at(-1)?.url === '/events');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(tunnel.socket.destroyed).toBe(false);
    const elapsedMs = startStopwatch();
    clock.now = Date.parse('2032-03-01T16:00:00Z'); // 17:00 in Berlin
    expect((await answer).cut).toBe(true);
    expect(elapsedMs()).toBeLessThan(2_000);
  });
});
