import { createHmac } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoreKind, storeKinds } from '../support/rig.ts';
import type { SeenRequest } from '../support/sink.ts';
import { mustOpen } from '../support/tunnel-client.ts';

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly last_status: number | null;
  readonly last_error: string | null;
  readonly next_attempt_at: string | null;
  readonly secret: string;
}

interface Delivery {
  readonly type: string;
  readonly webhook_id: string;
  readonly events: readonly { readonly id: string; readonly event: string; readonly reason: string | null }[];
}

describe.each(storeKinds)('webhooks on %s', (store: StoreKind) => {
  let rig: Rig;
  let offsetMs = 0;
  let silent: Shown;
  let respond = (_path: string, res: ServerResponse): void => void res.end('ok');
  const clock = () => Date.now() + offsetMs;
  beforeAll(async () => {
    rig = await Rig.open({ store, sinks: ['a.test', 'hook.test', 'other.test'], clock });
    rig.sink('hook.test').answer = (req, res) => {
      if (req.url !== '/silent') respond(req.url ?? '', res);
    };
    if (store === 'redis') return;
    silent = await create('/silent'); // is given up after ten seconds, while the others are tried
    await agent('unanswered');
  });
  afterAll(() => rig.close());

  const urlOf = (path: string, host = 'hook.test') => `https://${rig.authorityOf(host)}${path}`;
  const create = (path: string, body: Record<string, unknown> = {}): Promise<Shown> =>
    rig.admin<Shown>('POST', '/webhooks', { name: path, url: urlOf(path), events: ['agent.*'], ...body });
  const show = (id: string) => rig.admin<Shown>('GET', `/webhooks/${id}`);
  const seenAt = (path: string) => rig.sink('hook.test').requests.filter(({ url }) => url === path);
  const read = ({ body }: SeenRequest) => JSON.parse(body.toString()) as Delivery;
  const eventsAt = (path: string) => seenAt(path).flatMap((request) => read(request).events);
  const agent = (name: string) => rig.admin<{ id: string }>('POST', '/agents', { name });
  const header = (request: SeenRequest, name: string) => request.all(name)[0]!;

  it('bring the events that are asked for, each once, in order, signed, and with no credential in them', async () => {
    const secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const hook = await create('/signed', { events: ['agent.*', 'secret.rotated', 'request.decided'] });
    const denials = await create('/denied', { events: ['request.*'], decision: 'deny' });
    for (let n = 0; n < 30; n++) await agent(`${store}-${n}`);
    await rig.admin('POST', `/managed-secrets/${secret.id}/rotate`, { credential_value: 'canary-of-rotation' });
    rig.canaries.push('canary-of-rotation');
    const key = await rig.mintKey();
    const tunnel = await mustOpen({
      ...{ proxyPort: rig.proxyPort, target: rig.authorityOf(), key: key.key, serverName: 'a.test' },
      ca: rig.service.authorityPem,
    });
    for (const grant of [secret.grantId, '01980000-0000-7000-8000-000000000000']) {
      tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${grant}\r\n\r\n`);
      await tunnel.reader.next();
    }
    tunnel.socket.destroy();
    await eventually(() => eventsAt('/signed').length >= 33 && eventsAt('/denied').length >= 1);

    const names = eventsAt('/signed').map(({ event }) => event);
    expect(names).toEqual([...Array(30).fill('agent.created'), 'secret.rotated', 'request.decided', 'request.decided']);
    expect(eventsAt('/denied')).toMatchObject([{ event: 'request.decided', code: 'grant_not_found' }]);
    expect(new Set(eventsAt('/signed').map(({ id }) => id)).size).toBe(33);
    for (const [path, { secret: signing, id }] of [
      ['/signed', hook],
      ['/denied', denials],
    ] as const)
      for (const request of seenAt(path)) {
        expect(read(request)).toMatchObject({ type: 'audit', webhook_id: id, app_id: rig.appId });
        const content = [header(request, 'webhook-id'), header(request, 'webhook-timestamp'), request.body].join('.');
        const key = Buffer.from(signing.replace('whsec_', ''), 'base64');
        expect(key).toHaveLength(32);
        expect(header(request, 'webhook-signature')).toBe(
          `v1,${createHmac('sha256', key).update(content).digest('base64')}`,
        );
      }
    const raw = rig.sink('hook.test').raw.toString('latin1');
    for (const canary of [...rig.canaries, hook.secret]) expect(raw).not.toContain(canary);
    expect(await show(hook.id)).toMatchObject({ status: 'active', last_status: 200, last_error: null });
    expect(JSON.stringify(await rig.admin('GET', '/webhooks'))).not.toContain('whsec_');
    for (const { id } of [hook, denials]) await rig.admin('DELETE', `/webhooks/${id}`);
    const before = seenAt('/signed').length;
    await agent(`${store}-unheard`);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(seenAt('/signed')).toHaveLength(before);
  });

  if (store === 'redis') return; // what follows asks nothing more of the store
  it('tell an endpoint that fails again later, from where it was, and make no event of the failure', async () => {
    let isBroken = true;
    respond = (_, res) => void res.writeHead(isBroken ? 503 : 204).end();
    const hook = await create('/failing');
    for (const name of ['f1', 'f2', 'f3']) await agent(`${store}-${name}`);
    await eventually(async () => (await show(hook.id)).status === 'failing');
    expect(await show(hook.id)).toMatchObject({ last_status: 503, last_error: 'status' });
    const audit = () => rig.admin<{ items: { event: string }[] }>('GET', '/audit?limit=1000');
    const before = (await audit()).items.length;
    const attempts = seenAt('/failing').length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(seenAt('/failing').length).toBe(attempts); // it waits
    expect((await audit()).items.length).toBe(before);
    offsetMs += 20_000;
    await eventually(() => seenAt('/failing').length > attempts);
    isBroken = false;
    offsetMs += 60_000;
    await eventually(async () => (await show(hook.id)).status === 'active');
    const last = read(seenAt('/failing').at(-1)!).events;
    expect(last.map(({ event }) => event)).toEqual(Array(3).fill('agent.created'));

    isBroken = true;
    await agent(`${store}-f4`);
    await eventually(async () => (await show(hook.id)).status === 'failing');
    offsetMs += 4 * 24 * 3_600_000;
    await eventually(async () => (await show(hook.id)).status === 'disabled');
    expect((await audit()).items[0]).toMatchObject({ event: 'webhook.disabled' });
    isBroken = false;
    const enabled = await rig.admin<Shown>('PATCH', `/webhooks/${hook.id}`, { enabled: true });
    expect(enabled.status).toBe('active');
    await eventually(async () => (await show(hook.id)).last_error === null);
    expect(read(seenAt('/failing').at(-1)!).events).toHaveLength(1);
    await rig.admin('DELETE', `/webhooks/${hook.id}`);
  });

  it('follow no redirect, wait for no answer for long, and reach no address that the proxy would not reach', async () => {
    respond = (path, res) => {
      if (path === '/redirecting') res.writeHead(307, { location: urlOf('/stolen', 'other.test') });
      res.end('ok');
    };
    const redirecting = await create('/redirecting');
    const closed = await create('/', { url: 'https://hook.test:1/' });
    await agent(`${store}-odd`);
    const failsWith = (of: Shown, error: string, withinMs: number) =>
      eventually(async () => (await show(of.id)).last_error === error, withinMs);
    await failsWith(redirecting, 'status', 5_000);
    expect((await show(redirecting.id)).last_status).toBe(307);
    expect(rig.sink('other.test').requests).toEqual([]);
    await failsWith(closed, 'address_forbidden', 5_000);
    const tested = await rig.admin('POST', `/webhooks/${closed.id}/test`);
    expect(tested).toEqual({ delivered: false, status: null, error: 'address_forbidden' });
    await failsWith(silent, 'upstream_timeout', 15_000);
    for (const url of [
      ...['http://hook.test/', 'https://127.0.0.1/', 'https://[::1]/', 'https://localhost/', 'https://redis/'],
      ...[
        'https://169.254.169.254/',
        'https://u:p@hook.test/',
        'https://hook.test/#f',
        'https://2130706433/',
        'nonsense',
      ],
    ]) {
      const refused = await rig.admin<{ problems: { field: string }[] }>(
        'POST',
        '/webhooks',
        { name: 'x', url, events: ['agent.*'] },
        [422],
      );
      expect([url, refused.problems[0]?.field]).toEqual([url, 'url']);
    }
    for (const { id } of [redirecting, silent, closed]) await rig.admin('DELETE', `/webhooks/${id}`);
  });

  it('are tested at once, and belong to those who may read the audit', async () => {
    const hook = await create('/tested');
    respond = (_, res) => void res.end('ok');
    expect(await rig.admin('POST', `/webhooks/${hook.id}/test`)).toEqual({ delivered: true, status: 200, error: null });
    expect(read(seenAt('/tested')[0]!)).toMatchObject({ type: 'test', events: [] });
    const { token } = await rig.admin<{ token: string }>('POST', '/v1/tokens', {
      name: 'no audit',
      scopes: ['dashboard_webhooks:admin'],
    });
    const asked = await fetch(`${rig.service.adminUrl}/v1/apps/${rig.appId}/webhooks/${hook.id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: urlOf('/elsewhere') }),
    });
    expect([asked.status, ((await asked.json()) as { detail: string }).detail]).toEqual([
      403,
      expect.stringContaining('dashboard_audit:read'),
    ]);
    await rig.admin('DELETE', `/webhooks/${hook.id}`);
  });
});
