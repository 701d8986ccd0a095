import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret, type StoreKind, storeKinds } from '../support/rig.ts';
import { mustOpen, type OpenedTunnel, type RawResponse } from '../support/tunnel-client.ts';

/** One principal after the other, as a workload meets them: through real tunnels, with tokens of a real provider. */
describe.each(storeKinds)('principals on %s', (store: StoreKind) => {
  let rig: Rig;
  let provider: TestIdentityProvider;
  let idpId: string;
  let runtimeKey: { id: string; key: string };
  let secret: StoredSecret;
  /** Moves the clock of the service and of the provider: what was written down is not written down again at once. */
  let offsetMs = 0;
  const clock = () => Date.now() + offsetMs;

  beforeAll(async () => {
    rig = await Rig.open({ store, sinks: ['a.test', 'b.test', 'idp.test'], clock });
    provider = await TestIdentityProvider.open(rig, 'idp.test', clock);
    idpId = await provider.register(rig, { claims: { groups: 'roles' } });
    runtimeKey = await rig.mintKey({ scopes: ['proxy:execute', 'keys:derive', 'delegations:create', 'grants:write'] });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
  });
  afterAll(() => rig.close());

  type Open = Extract<OpenedTunnel, { kind: 'open' }>;
  const openTunnel = (key: string, user = 'x'): Promise<Open> =>
    mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      user,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
  const ask = async (tunnel: Open, headers: Readonly<Record<string, string>>): Promise<RawResponse> => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    tunnel.socket.write(`GET /p HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\n${lines.join('')}\r\n`);
    return tunnel.reader.next();
  };
  /** `ok` with the credential of the rig's secret, or the code of the refusal. */
  const outcomeOf = (answer: RawResponse): string => {
    if (answer.status !== 200) return answer.headers['x-alter-error'] ?? String(answer.status);
    return rig.sink().requests.at(-1)!.all('authorization').includes(`Bearer ${secret.canary}`) ? 'ok' : 'untagged';
  };
  const once = async (
    key: string,
    of: { readonly grant?: string; readonly token?: string; readonly user?: string },
  ): Promise<string> => {
    const tunnel = await openTunnel(key, of.user);
    const answer = await ask(tunnel, {
      ...(of.grant === undefined ? {} : { 'X-Alter-Grant': of.grant }),
      ...(of.token === undefined ? {} : { 'X-Alter-User-Token': of.token }),
    });
    tunnel.socket.destroy();
    return outcomeOf(answer);
  };
  const grantTo = async (body: object, of: StoredSecret = secret): Promise<string> =>
    (await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${of.id}/grants`, body)).grant_id;
  const createUser = async (externalId: string): Promise<string> =>
    (await rig.admin<{ id: string }>('POST', '/users', { idp_id: idpId, external_id: externalId })).id;
  const createAgent = async (name: string): Promise<{ id: string; key: string; keyId: string }> => {
    const { id } = await rig.admin<{ id: string }>('POST', '/agents', { name });
    const minted = await rig.admin<{ id: string; key: string }>('POST', `/agents/${name}/keys`, {
      name: 'k',
      scopes: ['proxy:execute'],
    });
    rig.canaries.push(minted.key);
    return { id, key: minted.key, keyId: minted.id };
  };
  /** The API for application code: with a runtime key, and mostly with the token of a user. */
  const runtime = async (
    method: string,
    path: string,
    of: { readonly key: string; readonly token?: string; readonly body?: object },
  ): Promise<{ status: number; json: Record<string, unknown> & { id: string; key: string; code: string } }> => {
    const response = await fetch(`${rig.service.adminUrl}/v1/runtime${path}`, {
      method,
      headers: {
        authorization: `Bearer ${of.key}`,
        ...(of.token === undefined ? {} : { 'x-alter-user-token': of.token }),
        ...(of.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(of.body === undefined ? {} : { body: JSON.stringify(of.body) }),
    });
    return { status: response.status, json: JSON.parse(await response.text()) };
  };
  /** Shows a token at the proxy, and waits until the user is written down as it says. */
  const see = async (sub: string, roles: readonly string[]): Promise<string> => {
    offsetMs += 11_000;
    const token = await provider.token({ sub, roles });
    expect(await once(runtimeKey.key, { grant: secret.grantId, token })).toBe('ok');
    let id = '';
    await eventually(async () => {
      const { items } = await rig.admin<{ items: { id: string; external_id: string; groups: string[] }[] }>(
        'GET',
        `/users?search=${sub}`,
      );
      const user = items.find(({ external_id: externalId }) => externalId === sub);
      id = user?.id ?? '';
      return user !== undefined && user.groups.join() === roles.join();
    });
    return id;
  };

  it('a user grant is for that user, with a current token', async () => {
    const ada = await createUser('ada');
    const grant = await grantTo({ principal_type: 'user', app_user_id: ada, label: 'u' });
    const token = await provider.token({ sub: 'ada' });
    expect(await once(runtimeKey.key, { grant, token })).toBe('ok');
    expect(await once(runtimeKey.key, { grant })).toBe('user_token_invalid');
    expect(await once(runtimeKey.key, { grant, token: await provider.token({ sub: 'bob' }) })).toBe(
      'principal_mismatch',
    );
    expect((await createAgent('ada-bot')).key).toMatch(/^alter_ak_/);
    const agent = await createAgent('other-bot');
    expect(await once(agent.key, { grant, token })).toBe('principal_mismatch');
  });

  it('a group grant is for its present and future members, who need not be known before', async () => {
    const grant = await grantTo({ principal_type: 'group', idp_id: idpId, external_group_id: 'support', label: 'g' });
    const carol = (roles: unknown) => provider.token({ sub: 'carol', roles, jti: String(Math.random()) });
    expect(await once(runtimeKey.key, { grant, token: await carol(['ops', 'support']) })).toBe('ok');
    expect(await once(runtimeKey.key, { grant, token: await carol('ops support') })).toBe('ok');
    expect(await once(runtimeKey.key, { grant, token: await carol('ops,support') })).toBe('ok');
    expect(await once(runtimeKey.key, { grant, token: await carol(['ops']) })).toBe('principal_mismatch');
    expect(await once(runtimeKey.key, { grant, token: await carol(['SUPPORT', 'support ']) })).toBe(
      'principal_mismatch',
    );
    expect(await once(runtimeKey.key, { grant, token: await provider.token({ sub: 'carol' }) })).toBe(
      'principal_mismatch',
    );
    // Seen once, the user and the groups are there for the operator.
    await eventually(async () => {
      const { items } = await rig.admin<{ items: { external_id: string; groups: string[] }[] }>('GET', '/users');
      return items.some((user) => user.external_id === 'carol' && user.groups.includes('support'));
    });
    const groups = await rig.admin<{ items: { external_group_id: string }[] }>('GET', `/groups?idp=${idpId}`);
    expect(groups.items.map((group) => group.external_group_id)).toEqual(expect.arrayContaining(['ops', 'support']));
  });

  it('a user who was seen can be granted something, which holds from then on', async () => {
    const token = await provider.token({ sub: 'dora' });
    expect(await once(runtimeKey.key, { grant: secret.grantId, token })).toBe('ok');
    let id = '';
    await eventually(async () => {
      const { items } = await rig.admin<{ items: { id: string; external_id: string }[] }>('GET', '/users?search=dora');
      id = items[0]?.id ?? '';
      return id !== '';
    });
    const grant = await grantTo({ principal_type: 'user', app_user_id: id });
    await eventually(async () => (await once(runtimeKey.key, { grant, token })) === 'ok');
  });

  it('an agent grant is for that agent alone, and ends with it on an open connection', async () => {
    const [crawler, other] = [await createAgent('crawler'), await createAgent('other')];
    const grant = await grantTo({ principal_type: 'agent', agent_id: 'crawler', label: 'a' });
    expect(await once(crawler.key, { grant })).toBe('ok');
    expect(await once(other.key, { grant })).toBe('principal_mismatch');
    expect(await once(runtimeKey.key, { grant })).toBe('principal_mismatch');
    expect(await once(crawler.key, { grant: secret.grantId })).toBe('grant_not_found'); // a grant of the system

    const tunnel = await openTunnel(crawler.key);
    expect(outcomeOf(await ask(tunnel, { 'X-Alter-Grant': grant }))).toBe('ok');
    await rig.admin('POST', '/agents/crawler/deprecate');
    expect(outcomeOf(await ask(tunnel, { 'X-Alter-Grant': grant }))).toBe('ok');
    await rig.admin('POST', '/agents/crawler/revoke');
    await eventually(async () => outcomeOf(await ask(tunnel, { 'X-Alter-Grant': grant })) === 'key_revoked');
    tunnel.socket.destroy();
  });

  it('a system grant is for runtime and derived keys; a derived key ends with its parent', async () => {
    const parent = await rig.mintKey({ name: 'parent', scopes: ['proxy:execute', 'keys:derive', 'grants:write'] });
    const derive = (body: object) => runtime('POST', '/keys/derive', { key: parent.key, body: { name: 'd', ...body } });
    const { json } = await derive({ scopes: ['proxy:execute'], expires_in: '5m' });
    const derived = json.key;
    rig.canaries.push(derived);
    expect(json).toMatchObject({ key_type: 'derived', parent_id: parent.id, scopes: ['proxy:execute'] });
    for (const body of [
      { scopes: ['proxy:execute', 'keys:derive'] },
      { scopes: ['grants:admin'] },
      { scopes: ['delegations:create'] },
      { scopes: ['proxy:execute'], expires_in: '8d' },
    ])
      expect((await derive(body)).status).toBe(422);
    expect((await derive({ scopes: ['grants:read'] })).status).toBe(201); // which grants:write implies
    const again = await runtime('POST', '/keys/derive', {
      key: derived,
      body: { name: 'x', scopes: ['proxy:execute'] },
    });
    expect([again.status, again.json.code]).toEqual([403, 'insufficient_scope']);
    expect(derived).toMatch(/^alter_dk_/);
    expect(await once(derived, { grant: secret.grantId })).toBe('ok');
    const tunnel = await openTunnel(derived);
    expect(outcomeOf(await ask(tunnel, { 'X-Alter-Grant': secret.grantId }))).toBe('ok');
    await rig.admin('POST', `/keys/${parent.id}/revoke`);
    await eventually(async () => outcomeOf(await ask(tunnel, { 'X-Alter-Grant': secret.grantId })) === 'key_revoked');
    tunnel.socket.destroy();
  });

  describe('a delegation', () => {
    let lent: StoredSecret;
    const lentOutcome = (answer: RawResponse): string =>
      answer.status === 200 && rig.sink().requests.at(-1)!.all('authorization').includes(`Bearer ${lent.canary}`)
        ? 'ok'
        : (answer.headers['x-alter-error'] ?? String(answer.status));

    /** A secret, a grant to a group or user, an agent, and what the one lent to the other, used on an open connection. */
    const lend = async (name: string, kind: 'user' | 'group') => {
      lent = await rig.storeSecret({ hosts: [rig.authorityOf()], name: `lent ${name}` });
      await rig.admin('PUT', `/managed-secrets/${lent.id}/delegation-policy`, { allow_group_delegation: true });
      const groups = [`team-${name}`];
      const user = await see(`lender-${name}`, groups);
      const grant = await grantTo(
        kind === 'user'
          ? { principal_type: 'user', app_user_id: user }
          : { principal_type: 'group', idp_id: idpId, external_group_id: `team-${name}` },
        lent,
      );
      const agent = await createAgent(`agent-${name}`);
      const token = await provider.token({ sub: `lender-${name}`, roles: groups, jti: 'lending' });
      const made = await runtime('POST', '/delegations', {
        key: runtimeKey.key,
        token,
        body: { grant_id: grant, agent_id: agent.id },
      });
      expect([made.status, made.json.status]).toEqual([201, 'active']);
      const tunnel = await openTunnel(agent.key);
      const use = async () => lentOutcome(await ask(tunnel, { 'X-Alter-Grant': made.json.id }));
      expect(await use()).toBe('ok');
      return { name, user, grant, agent, token, delegationId: made.json.id, tunnel, use };
    };
    type Lent = Awaited<ReturnType<typeof lend>>;

    it.each([
      [
        'the delegation is revoked',
        'user',
        'grant_revoked',
        (of: Lent) => rig.admin('POST', `/delegations/${of.delegationId}/revoke`),
      ],
      [
        'its source grant is revoked',
        'user',
        'grant_revoked',
        (of: Lent) => rig.admin('POST', `/grants/${of.grant}/revoke`),
      ],
      ['the secret is deleted', 'user', 'grant_revoked', () => rig.admin('DELETE', `/managed-secrets/${lent.id}`)],
      [
        'the agent is revoked',
        'group',
        'key_revoked',
        (of: Lent) => rig.admin('POST', `/agents/${of.agent.id}/revoke`),
      ],
      [
        'the key of the agent is revoked',
        'group',
        'key_revoked',
        (of: Lent) => rig.admin('POST', `/keys/${of.agent.keyId}/revoke`, { force: true }),
      ],
      ['the user leaves the group', 'group', 'principal_mismatch', (of: Lent) => see(`lender-${of.name}`, [])],
      [
        'the secret allows no group delegation any more',
        'group',
        'principal_mismatch',
        () => rig.admin('PUT', `/managed-secrets/${lent.id}/delegation-policy`, {}),
      ],
    ] as const)('ends on an open connection when %s', async (title, kind, code, breakLink) => {
      const of = await lend(
        title
          .replaceAll(/[^a-z]+/g, '-')
          .slice(0, 40)
          .replace(/-$/, ''),
        kind,
      );
      await breakLink(of);
      await eventually(async () => (await of.use()) === code);
      of.tunnel.socket.destroy();
    });

    it('is used by auto, and stands in the audit with the user, the agent and its own id', async () => {
      const of = await lend('auto', 'user');
      expect(await lentOutcomeOf(of.agent.key, 'auto')).toBe('ok');
      expect(await lentOutcomeOf(of.agent.key, of.delegationId)).toBe('ok');
      await eventually(async () => {
        const { items } = await rig.admin<{ items: Record<string, string>[] }>(
          'GET',
          `/audit?event=request.decided&grant=${of.delegationId}&agent=${of.agent.id}&user=${of.user}`,
        );
        const [event] = items;
        return (
          event?.principal_type === 'delegation' &&
          event.principal_id === of.user &&
          event.agent_id === of.agent.id &&
          event.user_id === of.user
        );
      });
      of.tunnel.socket.destroy();
    });

    const lentOutcomeOf = async (key: string, user: string): Promise<string> => {
      const tunnel = await openTunnel(key, user);
      const answer = await ask(tunnel, {});
      tunnel.socket.destroy();
      return lentOutcome(answer);
    };

    it('is made only by the user whose grant it is, for as long as the secret allows, and taken back by them', async () => {
      const of = await lend('owner', 'group');
      const make = (over: { key?: string; token?: string | null; body?: object }) =>
        runtime('POST', '/delegations', {
          key: over.key ?? runtimeKey.key,
          ...(over.token === null ? {} : { token: over.token ?? of.token }),
          body: { grant_id: of.grant, agent_id: of.agent.id, ...over.body },
        });
      const codes = async (made: ReturnType<typeof make>) => (await made).json.code;
      const stranger = await provider.token({ sub: 'stranger', roles: ['ops'] });
      const late = new Date(clock() + 91 * 86_400_000).toISOString();
      expect(await codes(make({ token: null }))).toBe('user_token_invalid');
      expect(await codes(make({ token: of.token.slice(0, -4) }))).toBe('user_token_invalid');
      expect(await codes(make({ token: stranger }))).toBe('not_found');
      expect(await codes(make({ body: { grant_id: secret.grantId } }))).toBe('not_found'); // the system's
      expect(await codes(make({ key: of.agent.key }))).toBe('insufficient_scope');
      expect(await codes(make({ key: rig.pat }))).toBe('unauthenticated');
      expect(await codes(make({ body: { expires_at: late } }))).toBe('validation_failed');
      await rig.admin('PUT', `/managed-secrets/${lent.id}/delegation-policy`, {});
      expect(await codes(make({}))).toBe('principal_mismatch');
      await rig.admin('PUT', `/managed-secrets/${lent.id}/delegation-policy`, { allow_group_delegation: true });

      const usable = await runtime('GET', '/grants', { key: (await rig.mintKey({ scopes: ['grants:read'] })).key });
      expect(JSON.stringify(usable.json)).not.toContain(of.grant); // a group's, and there was no token
      const revoke = (token: string) =>
        runtime('POST', `/delegations/${of.delegationId}/revoke`, { key: runtimeKey.key, token });
      expect((await revoke(stranger)).status).toBe(404);
      expect((await revoke(of.token)).json.status).toBe('revoked');
      await eventually(async () => (await of.use()) === 'grant_revoked');
      of.tunnel.socket.destroy();
    });

    it('is made once under one Idempotency-Key, and for another user under the same key once more', async () => {
      const lent = await rig.storeSecret({ hosts: [rig.authorityOf()], name: 'lent once' });
      await rig.admin('PUT', `/managed-secrets/${lent.id}/delegation-policy`, { allow_group_delegation: true });
      const grant = await grantTo({ principal_type: 'group', idp_id: idpId, external_group_id: 'twins' }, lent);
      const agent = await createAgent('agent-of-twins');
      const make = async (sub: string) => {
        const response = await fetch(`${rig.service.adminUrl}/v1/runtime/delegations`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${runtimeKey.key}`,
            'x-alter-user-token': await provider.token({ sub, roles: ['twins'] }),
            'idempotency-key': 'one-for-both',
            'content-type': 'application/json',
          },
          body: JSON.stringify({ grant_id: grant, agent_id: agent.id }),
        });
        expect(response.status).toBe(201);
        return ((await response.json()) as { id: string }).id;
      };
      const [tim, again, tom] = [await make('tim'), await make('tim'), await make('tom')];
      expect(again).toBe(tim);
      expect(tom).not.toBe(tim);
    });

    it('of a provider that is gone is worth nothing', async () => {
      const of = await lend('orphan', 'user');
      await rig.admin('DELETE', `/identity-providers/${idpId}`);
      await eventually(async () => (await of.use()) === 'principal_mismatch');
      of.tunnel.socket.destroy();
      idpId = await provider.register(rig, { claims: { groups: 'roles' } });
    });
  });

  it('what fits is chosen by auto out of all that the caller may use, and no more', async () => {
    const own = await rig.storeSecret({ hosts: [rig.authorityOf('b.test')], name: 'of a user' });
    const user = await see('erin', ['night']);
    await rig.admin('POST', `/grants/${own.grantId}/revoke`);
    const grant = await grantTo({ principal_type: 'user', app_user_id: user, label: "erin's" }, own);
    const token = await provider.token({ sub: 'erin', roles: ['night'] });
    const askB = async (key: string, choice: string, shown?: string): Promise<RawResponse & { sent: string[] }> => {
      const tunnel = await mustOpen({
        proxyPort: rig.proxyPort,
        target: rig.authorityOf('b.test'),
        key,
        user: choice,
        serverName: 'b.test',
        ca: rig.service.authorityPem,
      });
      rig.sink('b.test').forget();
      const line = shown === undefined ? '' : `X-Alter-User-Token: ${shown}\r\n`;
      tunnel.socket.write(`GET / HTTP/1.1\r\nHost: ${rig.authorityOf('b.test')}\r\n${line}\r\n`);
      const answer = await tunnel.reader.next();
      tunnel.socket.destroy();
      return { ...answer, sent: rig.sink('b.test').requests.flatMap((request) => request.all('authorization')) };
    };
    const agent = await createAgent('erins-agent');
    expect((await askB(runtimeKey.key, 'auto', token)).sent).toEqual([`Bearer ${own.canary}`]);
    expect(await askB(runtimeKey.key, 'auto')).toMatchObject({ status: 200, sent: [] }); // untagged
    expect(await askB(agent.key, 'auto', token)).toMatchObject({ status: 200, sent: [] });
    const broken = await askB(runtimeKey.key, 'auto', token.slice(0, -4));
    expect(broken.headers['x-alter-error']).toBe('user_token_invalid');

    // Listed: the one that is the caller's; and where none is, the reason instead of a silent pass.
    const others = await grantTo({ principal_type: 'agent', agent_id: agent.id }, own);
    expect((await askB(runtimeKey.key, `${others},${grant}`, token)).sent).toEqual([`Bearer ${own.canary}`]);
    expect((await askB(agent.key, `${others},${grant}`)).sent).toEqual([`Bearer ${own.canary}`]);
    expect((await askB(runtimeKey.key, grant)).headers['x-alter-error']).toBe('user_token_invalid');

    await grantTo({ principal_type: 'group', idp_id: idpId, external_group_id: 'night', label: 'night shift' }, own);
    const ambiguous = await askB(runtimeKey.key, 'auto', token);
    expect([ambiguous.status, ambiguous.headers['x-alter-error']]).toEqual([409, 'ambiguous_grant']);
    expect(ambiguous.body).toContain('night shift');
    expect(ambiguous.body).toContain("erin's");
  });

  it('two users of one group, with one key and one grant, never share a connection to the upstream', async () => {
    const shared = await rig.storeSecret({ hosts: [rig.authorityOf('b.test')], name: 'of a team' });
    const grant = await grantTo({ principal_type: 'group', idp_id: idpId, external_group_id: 'team' }, shared);
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf('b.test'),
      key: runtimeKey.key,
      headers: [`X-Alter-Grant: ${grant}`],
      serverName: 'b.test',
      ca: rig.service.authorityPem,
    });
    const askAs = async (sub: string): Promise<number> => {
      const token = await provider.token({ sub, roles: ['team'] });
      tunnel.socket.write(
        `GET / HTTP/1.1\r\nHost: ${rig.authorityOf('b.test')}\r\nX-Alter-User-Token: ${token}\r\n\r\n`,
      );
      expect((await tunnel.reader.next()).status).toBe(200);
      return rig.sink('b.test').accepts;
    };
    rig.sink('b.test').forget();
    expect([await askAs('hal'), await askAs('hal'), await askAs('ida'), await askAs('hal')]).toEqual([1, 1, 2, 2]);
    tunnel.socket.destroy();
  });

  it('a token on the CONNECT holds inside, and one that comes inside opens no other host', async () => {
    const frank = await createUser('frank');
    const grant = await grantTo({ principal_type: 'user', app_user_id: frank });
    const token = await provider.token({ sub: 'frank' });
    const connect = (headers: readonly string[], target = rig.authorityOf()) =>
      mustOpen({
        proxyPort: rig.proxyPort,
        target,
        key: runtimeKey.key,
        headers,
        serverName: target.split(':')[0]!,
        ca: rig.service.authorityPem,
      });
    const both = await connect([`X-Alter-Grant: ${grant}`, `X-Alter-User-Token: ${token}`]);
    expect(outcomeOf(await ask(both, {}))).toBe('ok');
    both.socket.destroy();
    const inside = await connect([`X-Alter-Grant: ${grant}`]);
    expect(outcomeOf(await ask(inside, {}))).toBe('user_token_invalid');
    expect(outcomeOf(await ask(inside, { 'X-Alter-User-Token': token }))).toBe('ok');
    inside.socket.destroy();
    await expect(connect([`X-Alter-Grant: ${grant}`], rig.authorityOf('idp.test'))).rejects.toThrow(
      'user_token_invalid',
    );
  });

  it('a real curl carries the token like any header', async () => {
    const gina = await createUser('gina');
    const grant = await grantTo({ principal_type: 'user', app_user_id: gina });
    const { code, stdout } = await rig.curl(
      [
        '-H',
        `X-Alter-Grant: ${grant}`,
        '-H',
        `X-Alter-User-Token: ${await provider.token({ sub: 'gina' })}`,
        `https://${rig.authorityOf()}/`,
      ],
      { key: runtimeKey.key },
    );
    expect([code, stdout]).toEqual([0, 'ok']);
    expect(rig.sink().requests.at(-1)!.rawHeaders.join(' ').toLowerCase()).not.toContain('x-alter');
  });

  it('discovery finds the keys of an issuer, through the guard', async () => {
    await rig.admin('DELETE', `/identity-providers/${idpId}`);
    const found = await rig.admin<{ id: string; jwks_url: string }>('POST', '/identity-providers', {
      name: 'discovered',
      issuer: provider.issuer,
      audience: provider.audience,
      claims: { groups: 'roles' },
    });
    expect(found.jwks_url).toBe(provider.jwksUrl);
    idpId = found.id;
    await expect(
      rig.admin('POST', '/identity-providers', { name: 'x', issuer: 'https://127.0.0.1:1', audience: 'a' }),
    ).rejects.toThrow('address_forbidden');
  });
});
