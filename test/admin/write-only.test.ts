import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
const canary = 'canary-9b2e';
const encodings = [
  canary,
  Buffer.from(canary).toString('base64').slice(0, 12),
  Buffer.from(` ${canary}`).toString('base64').slice(2, 14),
  Buffer.from(`  ${canary}`).toString('base64').slice(3, 15),
  Buffer.from(canary).toString('hex'),
];

beforeAll(async () => {
  rig = await startAdminRig();
});
afterAll(() => rig.close());

it('no answer, header or log line ever holds a credential, whatever is read through the API', async () => {
  const base = `/v1/apps/${rig.app.id}`;
  const replies = [
    await rig.send('POST', `${base}/managed-secrets`, {
      body: { name: 'One', credential_value: `${canary}-1`, credentials: { region: `${canary}-2` } },
    }),
    await rig.send('POST', `${base}/managed-secrets`, {
      body: { name: 'Two', credential_type: 'basic_auth', credential_value: `${canary}-u:${canary}-p` },
    }),
    await rig.send('POST', `${base}/managed-secrets/one/rotate`, { body: { credential_value: `${canary}-3` } }),
    await rig.send('PATCH', `${base}/managed-secrets/one`, { body: { name: 'One!' } }),
    await rig.send('PUT', `${base}/managed-secrets/one/allowed-hosts`, { body: { hosts: ['a.example.com'] } }),
  ];
  const key = await rig.send('POST', `${base}/keys`, { body: { name: 'k', scopes: ['proxy:execute'] } });
  const agent = await rig.send('POST', `${base}/agents`, { body: { name: 'crawler' } });
  const provider = await rig.send('POST', `${base}/identity-providers`, {
    body: { name: 'p', issuer: 'https://i.example', audience: 'a', jwks_url: 'https://i.example/keys' },
  });
  const idpId = provider.json.id as string;
  const user = await rig.send('POST', `${base}/users`, { body: { idp_id: idpId, external_id: 'ada' } });
  const group = await rig.send('POST', `${base}/groups`, { body: { idp_id: idpId, external_group_id: 'ops' } });
  const delegation = await (await rig.vault.app(rig.app.id)).delegations.create({
    agentId: agent.json.id,
    sourceGrantId: replies[0]!.json.grant_id,
    userId: user.json.id,
    expiresAt: rig.clock() + 60_000,
  });
  const account = {
    issuer: 'https://k.example',
    namespace: 'shop',
    service_account: 'web',
    jwks_url: 'https://k.example/keys',
  };
  const workload = await rig.send('POST', `${base}/workload-identities`, { body: account });
  const hook = { name: 'h', url: 'https://hook.example.com/', events: ['key.*'] };
  const webhook = await rig.send('POST', `${base}/webhooks`, { body: hook });
  const found: Record<string, string> = {
    webhook: webhook.json.id,
    workload: workload.json.id,
    agent: agent.json.id,
    idp: idpId,
    user: user.json.id,
    group: group.json.id,
    delegation: delegation.value.id,
    app: rig.app.id,
    secret: replies[0]!.json.id,
    grant: replies[0]!.json.grant_id,
    key: key.json.id,
    token: rig.operator.id,
  };

  const agentKey = await rig.send('POST', `${base}/agents/crawler/keys`, {
    body: { name: 'a', scopes: ['grants:read'] },
  });
  found.backup = (await rig.send('POST', '/v1/backups')).json.backup_id;
  found.line = '0';
  found.event = (await rig.send('GET', `${base}/audit?limit=1`)).json.items[0].id;
  const systemEvent: string = (await rig.send('GET', '/v1/audit?limit=1')).json.items[0].id;
  const document = (await rig.send('GET', '/openapi.json', { token: null })).json;
  const paths = Object.entries<Record<string, object>>(document.paths).filter(([, operations]) => 'get' in operations);
  expect(paths.length).toBeGreaterThanOrEqual(13);
  for (const [path] of paths) {
    const reply = await rig.send(
      'GET',
      (path === '/v1/audit/{event}' ? `/v1/audit/${systemEvent}` : path).replaceAll(
        /\{(\w+)\}/g,
        (_, name: string) => found[name]!,
      ),
      path.startsWith('/v1/runtime/') ? { token: agentKey.json.key } : {},
    );
    expect([path, reply.status]).toEqual([path, 200]);
    replies.push(reply);
  }
  replies.push(await rig.send('GET', `${base}/managed-secrets/two`));

  expect(replies.every(({ status }) => status < 300)).toBe(true);
  const seen = [...replies.map(({ text, headers }) => `${text} ${JSON.stringify(headers)}`), ...rig.logged].join('\n');
  for (const encoding of encodings) expect(seen).not.toContain(encoding);
  for (const token of [webhook.json.secret, key.json.key, agentKey.json.key, rig.operator.plaintext]) {
    expect(seen).not.toContain(token);
    expect(seen).not.toContain(token.slice(-20));
  }
  expect(rig.logged.length).toBeGreaterThan(paths.length); // the log was really looked at
});
