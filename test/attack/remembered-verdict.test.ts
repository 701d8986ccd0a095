import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type OpenedTunnel } from '../support/tunnel-client.ts';

/**
 * Somebody whose requests were let through many times goes on when they no longer may be: what the proxy keeps in memory of
 * records, policies and hosts must not outlive a change by one request, nor a minute what the clock says.
 */
describe('a caller that was let through many times', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let tunnel: Extract<OpenedTunnel, { kind: 'open' }>;
  let now = Date.now(); // stands still, unless a test moves it on
  const often = 40;

  beforeAll(async () => {
    rig = await Rig.open({ clock: () => now });
  });
  afterAll(() => rig?.close());

  const ask = async (): Promise<string> => {
    const head = ['GET /v1/charges HTTP/1.1', `Host: ${rig.authorityOf()}`, `X-Alter-Grant: ${secret.grantId}`];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const { status, body } = await tunnel.reader.next();
    if (status === 200) return 'sent';
    const { code, policy_error: policyError } = JSON.parse(body) as { code: string; policy_error?: string };
    return policyError ?? code;
  };

  beforeEach(async () => {
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const { key } = await rig.mintKey();
    tunnel = await mustOpen({
      ...{ proxyPort: rig.proxyPort, target: rig.authorityOf(), key, serverName: 'a.test' },
      ca: rig.service.authorityPem,
    });
    for (let i = 0; i < often; i++) expect(await ask()).toBe('sent');
  });

  const levels = {
    app: () => '/policy',
    secret: () => `/managed-secrets/${secret.id}/policy`,
    grant: () => `/grants/${secret.grantId}/policy`,
  };
  it.each(['app', 'secret', 'grant'] as const)(
    'meets a new policy of the %s, and the end of it, with the very next request',
    async (level) => {
      for (let i = 0; i < 3; i++) {
        await rig.admin('PUT', levels[level](), { methods: ['POST'] });
        expect(await ask()).toBe('method_not_allowed');
        await rig.admin('PUT', levels[level](), { paths: ['/v1/refunds/**'] });
        expect(await ask()).toBe('path_not_allowed');
        await rig.admin('PUT', levels[level](), { ip_allowlist: ['203.0.113.0/24'] });
        expect(await ask()).toBe('ip_not_allowed');
        await rig.admin('PUT', levels[level](), { require_reason: true });
        expect(await ask()).toBe('reason_required');
        await rig.admin('PUT', levels[level](), {});
        expect(await ask()).toBe('sent');
      }
    },
  );

  it('meets other hosts of the secret with the very next request', async () => {
    const path = `/managed-secrets/${secret.id}/allowed-hosts`;
    await rig.admin('PUT', path, { hosts: ['api.example.com'] });
    expect(await ask()).toBe('host_not_allowed');
    await rig.admin('PUT', path, { hosts: [] });
    expect(await ask()).toBe('host_not_allowed');
    await rig.admin('PUT', path, { hosts: [rig.authorityOf()] });
    expect(await ask()).toBe('sent');
  });

  it('meets the revocation of the grant with the very next request', async () => {
    await rig.admin('POST', `/grants/${secret.grantId}/revoke`);
    expect(await ask()).toBe('grant_revoked');
  });

  it('meets the archiving of the app with the very next request', async () => {
    await rig.admin('POST', `/v1/apps/${rig.appId}/archive`);
    expect(await ask()).toBe('app_archived');
    await rig.admin('POST', `/v1/apps/${rig.appId}/unarchive`);
    expect(await ask()).toBe('sent');
  });

  it('meets the end of a window of time in the millisecond in which it ends', async () => {
    const endsAt = (Math.floor(now / 60_000) + 2) * 60_000;
    const [start, end] = [endsAt - 3_600_000, endsAt].map((at) => new Date(at).toISOString().slice(11, 16));
    await rig.admin('PUT', levels.grant(), { time_window: { timezone: 'UTC', start, end } });
    for (let i = 0; i < often; i++) expect(await ask()).toBe('sent');
    now = endsAt - 1;
    expect(await ask()).toBe('sent');
    now = endsAt;
    expect(await ask()).toBe('time_outside_window');
  });

  it('meets the end of its grant in the millisecond in which it ends', async () => {
    const expiresAt = now + 30_000;
    await rig.admin('PUT', levels.grant(), { expires_at: new Date(expiresAt).toISOString() });
    for (let i = 0; i < often; i++) expect(await ask()).toBe('sent');
    now = expiresAt - 1;
    expect(await ask()).toBe('sent');
    now = expiresAt;
    expect(await ask()).toBe('grant_expired');
  });
});
