import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AdminClient } from '../../cli/admin-client.ts';
import { issueToken } from '../../core/token.ts';
import { alter } from './alter.ts';

const pat = issueToken('pat', Date.now()).plaintext;
const open: { close(): void }[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** A server that is not ours, on loopback. */
async function serve(answer: Answer): Promise<{ url: string; requests: http.IncomingMessage[] }> {
  const requests: http.IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close() {
      server.close();
      server.closeAllConnections();
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

function list(url: string, env: Record<string, string> = {}, words: readonly string[] = []) {
  return alter(['managed-secrets', 'list', ...words], {
    env: { ALTER_ADMIN_URL: url, ALTER_PAT: pat, ALTER_APP_ID: 'a', ...env },
  });
}

function json(value: unknown, status = 200, type = 'application/json'): Answer {
  return (_request, response) => {
    response.writeHead(status, { 'Content-Type': type });
    response.end(JSON.stringify(value));
  };
}

const page = { total: 1, limit: 200, offset: 0, has_more: false };

describe('what is not the admin service', () => {
  it('never gets the token by a redirect', async () => {
    const target = await serve(json({ ...page, items: [] }));
    for (const status of [301, 302, 307, 308]) {
      const { url } = await serve((_request, response) => {
        response.writeHead(status, { Location: `${target.url}/v1/apps/a/managed-secrets` });
        response.end();
      });
      const ended = await list(url);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toContain('a token is never sent along');
      expect(ended.stderr).not.toContain(pat);
    }
    expect(target.requests).toHaveLength(0);
  });

  it('never gets the token as a proxy', async () => {
    const proxy = await serve(json({}));
    const { url, requests } = await serve(json({ ...page, items: [] }));
    const env = { HTTP_PROXY: proxy.url, http_proxy: proxy.url, HTTPS_PROXY: proxy.url, NODE_USE_ENV_PROXY: '1' };
    expect(await list(url, env)).toMatchObject({ code: 0 });
    expect(requests[0]?.headers.authorization).toBe(`Bearer ${pat}`);
    expect(proxy.requests).toHaveLength(0);
  });

  it.each<[string, Answer, number, RegExp]>([
    ['garbage', (_, response) => response.end('<html>'), 1, /not JSON/],
    ['a list without items', json({ ...page, items: 'x' }), 1, /not a list/],
    ['a bare array', json([1]), 1, /not a JSON object/],
    ['null', json(null), 1, /not a JSON object/],
    ["somebody else's 404", (_, response) => response.writeHead(404).end('not here'), 1, /it answered 404/],
    ["a load balancer's 503", (_, response) => response.writeHead(503).end('no backend'), 8, /it answered 503/],
    ["a gateway's 429", (_, response) => response.writeHead(429).end(), 6, /it answered 429/],
    [
      'an answer that is cut off',
      (_, response) => {
        response.writeHead(200, { 'Content-Length': 100 });
        response.write('{');
        setTimeout(() => response.destroy(), 20);
      },
      8,
      /can't be reached: the connection was cut/,
    ],
    ['a closed connection', (request) => request.socket.destroy(), 8, /can't be reached/],
    [
      '17 MiB',
      (_, response) => {
        response.on('error', () => {});
        response.end(Buffer.alloc(17 * 1024 * 1024, 0x20));
      },
      1,
      /larger than 16 MiB/,
    ],
  ])('answers %s and is told apart in one line', async (_, answer, code, message) => {
    const { url } = await serve(answer);
    const ended = await list(url);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).toMatch(/^Error: [^\n]+\n(?:Hint: [^\n]+\n)?$/);
  });

  it('speaks no HTTP at all and is told apart', async () => {
    const server = net.createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(server);
    const ended = await list(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(ended).toMatchObject({ code: 8, stdout: '' });
  });

  it('is waited for no longer than the limit, whether it is silent or stops in the middle', async () => {
    for (const answer of [() => {}, (_: unknown, response: http.ServerResponse) => void response.write('{')]) {
      const { url } = await serve(answer);
      const client = new AdminClient({ url: new URL(url), token: pat, timeoutMs: 200 });
      await expect(client.get('/v1/apps')).rejects.toMatchObject({ exit: 8, detail: expect.stringContaining('0.2 s') });
    }
  });
});

describe('an answer of the admin service', () => {
  it.each([
    ['rate_limited', 429, 6],
    ['insufficient_scope', 403, 7],
    ['unauthenticated', 401, 3],
    ['revision_conflict', 412, 5],
    ['a_code_of_the_future', 409, 5],
    ['internal_error', 500, 1],
  ])('with the code %s ends with its exit code', async (code, status, exit) => {
    const { url } = await serve(
      json({ code, detail: 'Why.', hint: 'What to do.', request_id: 'r1' }, status, 'application/problem+json'),
    );
    const ended = await list(url);
    expect(ended.code).toBe(exit);
    expect(ended.stderr).toBe(`Error: Why.\nHint: What to do.\n${exit === 1 ? 'Request: r1\n' : ''}`);
  });

  it('drives no terminal, whatever its strings hold', async () => {
    const hostile = '\u001b]0;owned\u0007\u001b[2J\u202egpj\u009b31m\r\nfake line';
    const item = {
      slug: hostile,
      name: hostile,
      credential_type: 'x',
      allowed_hosts: [hostile],
      version: 1,
      updated_at: hostile,
    };
    const { url } = await serve(json({ ...page, items: [item] }));
    const raw = /[^\P{C}\n]/u;
    for (const format of ['table', 'json', 'jsonl']) {
      const { code, stdout } = await list(url, {}, ['--output', format]);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(raw);
    }
    const failing = await serve(
      json({ code: 'conflict', detail: hostile, hint: hostile }, 409, 'application/problem+json'),
    );
    const { stderr } = await list(failing.url);
    expect(stderr).not.toMatch(raw);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it('is asked for under the path that the address names', async () => {
    const { url, requests } = await serve(json({ ...page, items: [] }));
    await list(`${url}/alter/`, { ALTER_APP_ID: 'a b/c' });
    expect(requests[0]?.url).toBe('/alter/v1/apps/a%20b%2Fc/managed-secrets?limit=200&offset=0');
  });
});
