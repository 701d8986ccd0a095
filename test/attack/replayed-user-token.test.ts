import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { TestIdentityProvider } from '../support/identity-provider.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { Sidecar } from '../support/sidecar.ts';
import { AnswerReader, basic, connectTo, type RawResponse } from '../support/tunnel-client.ts';

/*
 * A token that somebody else has seen on its way: a log, a neighbour, a page. Where the provider is one whose tokens are good
 * for one request, whoever is second gets nothing, at whichever proxy they show it. REPLAY_RACES sets the number of races.
 */
const races = Number(process.env.REPLAY_RACES ?? 20);

describe('a user token that is good for one request', () => {
  let rig: Rig;
  let second: Sidecar;
  let provider: TestIdentityProvider;
  let idpId: string;
  let secret: StoredSecret;
  let grantId: string;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ store: 'redis', sinks: ['a.test', 'idp.test'] });
    provider = await TestIdentityProvider.open(rig);
    idpId = await provider.register(rig, { single_use: true });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const user = await rig.admin<{ id: string }>('POST', '/users', { idp_id: idpId, external_id: 'ada' });
    const grant = await rig.admin<{ grant_id: string }>('POST', `/managed-secrets/${secret.id}/grants`, {
      principal_type: 'user',
      app_user_id: user.id,
    });
    grantId = grant.grant_id;
    key = (await rig.mintKey()).key;
    second = await Sidecar.start(rig, {
      ALTER_STORE_URL: rig.redis!.url,
      ALTER_ROOT_KEY: rig.rootKey.toString('base64'),
    });
  });
  beforeEach(() => rig.sink().forget());
  afterAll(async () => {
    await second?.stop();
    await rig?.close();
  });

  const once = (over: Readonly<Record<string, unknown>> = {}): Promise<string> =>
    provider.token({ jti: randomUUID(), ...over });

  const ask = async (token: string, of: { port?: number; path?: string } = {}): Promise<RawResponse> => {
    const socket = await connectTo(of.port ?? rig.proxyPort);
    const reader = new AnswerReader(socket);
    const lines = [
      `GET https://${rig.authorityOf()}${of.path ?? '/'} HTTP/1.1`,
      `Host: ${rig.authorityOf()}`,
      `Proxy-Authorization: ${basic('x', key)}`,
      `X-Alter-Grant: ${grantId}`,
      `X-Alter-User-Token: ${token}`,
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const answer = await reader.next();
    socket.destroy();
    return answer;
  };
  const codeOf = (answer: RawResponse): string => answer.headers['x-alter-error'] ?? String(answer.status);

  it('is refused when it is shown again, here and at another proxy', async () => {
    const token = await once();
    expect(codeOf(await ask(token))).toBe('200');
    const again = await ask(token);
    expect([again.status, codeOf(again)]).toEqual([403, 'user_token_invalid']);
    expect(again.body).toContain('good for one request');
    expect(again.body).not.toContain(token);
    expect(codeOf(await ask(token, { port: second.proxyPort }))).toBe('user_token_invalid');
    const other = await once();
    expect(codeOf(await ask(other, { port: second.proxyPort }))).toBe('200');
    expect(codeOf(await ask(other))).toBe('user_token_invalid');
    expect(rig.sink().requests).toHaveLength(2);
  });

  it(`is won by exactly one of those who show it at the same time at two proxies, in ${races} races`, async () => {
    for (let race = 0; race < races; race++) {
      const token = await once();
      const ports = [rig.proxyPort, second.proxyPort, rig.proxyPort, second.proxyPort];
      const codes = await Promise.all(ports.map(async (port) => codeOf(await ask(token, { port }))));
      expect(codes.sort()).toEqual(['200', ...Array(3).fill('user_token_invalid')]);
    }
    expect(rig.sink().requests).toHaveLength(races);
  }, 600_000);

  it('has to have an id and a time of issue, and not to live long', async () => {
    for (const over of [
      { jti: undefined },
      { jti: '' },
      { jti: 7 },
      { jti: 'a'.repeat(2_000) },
      { iat: undefined },
      { exp: Math.floor(Date.now() / 1_000) + 90_000 },
    ])
      expect([over, codeOf(await ask(await once(over)))]).toEqual([over, 'user_token_invalid']);
    expect(rig.sink().requests).toHaveLength(0);
  });

  it('is not used up by a request that a policy refuses, and is by one that the upstream fails', async () => {
    await rig.admin('PUT', `/grants/${grantId}/policy`, { paths: ['/allowed/**'] });
    const token = await once();
    expect(codeOf(await ask(token, { path: '/other' }))).toBe('policy_violation');
    expect(codeOf(await ask(token, { path: '/allowed/a' }))).toBe('200');
    expect(codeOf(await ask(token, { path: '/allowed/a' }))).toBe('user_token_invalid');

    const { answer } = rig.sink();
    rig.sink().answer = (req) => req.socket.destroy();
    const lost = await once();
    expect((await ask(lost, { path: '/allowed/b' })).status).toBe(502);
    rig.sink().answer = answer;
    expect(codeOf(await ask(lost, { path: '/allowed/b' }))).toBe('user_token_invalid');
    await rig.admin('PUT', `/grants/${grantId}/policy`, {});
  });

  it('may be shown again once the provider is no longer one of those', async () => {
    const { single_use } = await rig.admin<{ single_use: boolean }>('PATCH', `/identity-providers/${idpId}`, {
      single_use: false,
    });
    expect(single_use).toBe(false);
    const token = await once();
    expect(codeOf(await ask(token))).toBe('200');
    expect(codeOf(await ask(token))).toBe('200');
  });
});
