import https from 'node:https';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startAdmin } from '../../admin/main.ts';
import { createAuthority, openAuthority } from '../../certs/authority.ts';
import { dashboardScopes } from '../../core/access-token.ts';
import { parseHost } from '../../core/origin.ts';
import { issueToken } from '../../core/token.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

let rig: AdminRig;
afterEach(() => rig.close());

/** Sends bytes as they are and reads until the service closes or has answered. */
async function sendRaw(text: string): Promise<string> {
  const { hostname, port } = new URL(rig.url);
  const socket = connect(Number(port), hostname);
  socket.write(text);
  let received = '';
  for await (const chunk of socket) {
    received += String(chunk);
    if (/\r\n\r\n.*\}$/s.test(received)) break;
  }
  socket.destroy();
  return received;
}

describe('the front door', () => {
  it('answers to its own address, localhost and configured names, whatever the port', async () => {
    rig = await startAdminRig({ hosts: ['alter.example.com'] });
    const { port } = new URL(rig.url);
    for (const host of [
      `127.0.0.1:${port}`,
      'localhost',
      'LOCALHOST:1',
      'alter.example.com',
      'Alter.Example.com.:8080',
    ])
      expect((await rig.send('GET', '/v1/me', { headers: { host } })).status).toBe(200);
  });

  it('answers 421 to every other Host, as a rebound name would send it', async () => {
    rig = await startAdminRig();
    for (const host of [
      'evil.test',
      '127.0.0.1.evil.test',
      '10.0.0.1',
      '[::1]',
      'localhost.evil.test',
      '0.0.0.0',
      'a b',
    ]) {
      const reply = await rig.send('GET', '/v1/me', { headers: { host } });
      expect([reply.status, reply.json.code]).toEqual([421, 'host_unknown']);
    }
  });

  it('listens with TLS where it is given a certificate', async () => {
    rig = await startAdminRig();
    const now = Date.now();
    const authority = openAuthority({ ...(await createAuthority({ now })), now });
    const leaf = authority.issueLeaf(parseHost('localhost'), now);
    const secure = await startAdmin({
      ...rig.options,
      listen: { host: '127.0.0.1', port: 0 },
      tls: { cert: leaf.chainPem, key: leaf.privateKeyPem },
    });
    expect(secure.url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      https
        .get(
          `${secure.url.replace('127.0.0.1', 'localhost')}/openapi.json`,
          { ca: authority.certificatePem, agent: false },
          (response) => resolve(response.resume().statusCode),
        )
        .on('error', reject);
    });
    expect(status).toBe(200);
    await secure.close();
  });

  it('refuses two Host headers, the absolute form and a flood of headers', async () => {
    rig = await startAdminRig();
    const auth = `Authorization: Bearer ${rig.operator.plaintext}\r\n`;
    expect(await sendRaw(`GET /v1/me HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n${auth}\r\n`)).toMatch(
      /^HTTP\/1.1 400 /,
    );
    expect(await sendRaw(`GET http://localhost/v1/me HTTP/1.1\r\nHost: localhost\r\n${auth}\r\n`)).toMatch(
      /^HTTP\/1.1 400 /,
    );
    const flood = Array.from({ length: 120 }, (_, i) => `x-${i}: 1\r\n`).join('');
    expect(
      await sendRaw(`GET /v1/me HTTP/1.1\r\nHost: localhost\r\n${flood}${auth}Origin: http://evil.test\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 431 /);
    expect(await sendRaw(`GET /v1/me HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 .*headers_too_large/s,
    );
    expect(await sendRaw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*request_malformed/s);
  });

  it('refuses whatever comes with an Origin, and sends no CORS header', async () => {
    rig = await startAdminRig();
    for (const origin of ['http://evil.test', 'null', rig.url]) {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const reply = await rig.send(method, '/v1/apps', { headers: { origin } });
        expect([reply.status, reply.json.code]).toEqual([403, 'origin_forbidden']);
        expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
    }
  });

  it('gives every answer a request id of its own making, no-store, and no cookie', async () => {
    rig = await startAdminRig();
    const reply = await rig.send('GET', '/nothing', { headers: { 'x-alter-request-id': 'mine' } });
    expect(reply.headers['x-alter-request-id']).toBe(reply.json.request_id);
    expect(reply.json.request_id).not.toBe('mine');
    expect(reply.headers['cache-control']).toBe('no-store');
    expect(reply.headers['set-cookie']).toBeUndefined();
  });

  it('tells an unknown path (404) from a method that a path does not have (405 with Allow)', async () => {
    rig = await startAdminRig();
    expect((await rig.send('GET', '/v1/nothing')).json.code).toBe('not_found');
    expect((await rig.send('GET', '/v1/apps/')).json.code).toBe('not_found');
    expect((await rig.send('GET', '/V1/apps')).json.code).toBe('not_found');
    const reply = await rig.send('DELETE', '/v1/apps');
    expect([reply.status, reply.json.code, reply.headers.allow]).toEqual([405, 'method_not_allowed', 'GET, POST']);
  });
});

describe('authentication', () => {
  it('gives one 401 to all that is not a live PAT', async () => {
    rig = await startAdminRig();
    const expired = await rig.issuePat(dashboardScopes, { expiresAt: rig.clock() });
    const revoked = await rig.issuePat(dashboardScopes);
    await rig.vault.accessTokens.revoke(revoked.id);
    const swapped = rig.operator.plaintext.slice(0, -1) + (rig.operator.plaintext.endsWith('0') ? '1' : '0');
    const bodies = new Set<string>();
    for (const headers of [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Bearer nonsense' },
      { authorization: `Basic ${rig.operator.plaintext}` },
      { authorization: `Bearer ${swapped}` },
      { authorization: `Bearer ${issueToken('pat', Date.now()).plaintext}` },
      { authorization: `Bearer ${issueToken('runtime', Date.now()).plaintext}` },
      { authorization: `Bearer ${expired.plaintext}` },
      { authorization: `Bearer ${revoked.plaintext}` },
    ]) {
      const reply = await rig.send('GET', '/v1/me', { token: null, headers });
      expect(reply.status).toBe(401);
      expect(reply.headers['www-authenticate']).toBe('Bearer realm="alter"');
      bodies.add(JSON.stringify({ ...reply.json, request_id: null }));
    }
    expect(bodies.size).toBe(1);
  });

  it('comes before everything else: a stranger learns no path, and no body is read', async () => {
    rig = await startAdminRig();
    for (const path of ['/nothing', '/v1/apps/shop', '/v1/apps/no-such-app'])
      expect((await rig.send('POST', path, { token: null, raw: '{"broken' })).status).toBe(401);
  });

  it('refuses a source after twenty failures in a minute, even with a good token, and says when to come back', async () => {
    rig = await startAdminRig();
    for (let i = 0; i < 20; i += 1)
      expect((await rig.send('GET', '/v1/me', { token: issueToken('pat', Date.now()).plaintext })).status).toBe(401);
    for (const token of [issueToken('pat', Date.now()).plaintext, rig.operator.plaintext]) {
      const reply = await rig.send('GET', '/v1/me', { token });
      expect([reply.status, reply.json.code]).toEqual([429, 'rate_limited']);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(reply.headers['retry-after'])).toBeLessThanOrEqual(60);
    }
    expect((await rig.send('GET', '/openapi.json', { token: null })).status).toBe(200);
  });

  it('does not count requests without a token or successes as failures', async () => {
    rig = await startAdminRig();
    for (let i = 0; i < 30; i += 1)
      await rig.send('GET', '/v1/me', { token: i % 2 === 0 ? null : rig.operator.plaintext });
    expect((await rig.send('GET', '/v1/me')).status).toBe(200);
  });
});
