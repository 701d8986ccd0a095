import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * A client that brings its own copy of an injected name, names the injected header away with Connection, or dresses our
 * own tags up so that they travel on to the upstream.
 */
describe('header and query hygiene', () => {
  let rig: Rig;
  let bearer: StoredSecret;
  let several: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open();
    bearer = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    several = await rig.storeSecret({
      hosts: [rig.authorityOf()],
      body: {
        credential_type: 'header_key',
        injection_header: 'X-Api-Key',
        injection_format: '{token}',
        injection_rules: [
          { target: 'query', name: 'api_key', format: '{token}' },
          { target: 'header', name: 'X-Api-Version', format: '2026-01-01' },
        ],
      },
    });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => rig.sink().forget());
  afterAll(() => rig?.close());

  const ask = async (
    secret: StoredSecret,
    lines: readonly string[],
    options: { target?: string; method?: string; body?: string } = {},
  ): Promise<RawResponse> => {
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    const head = [
      `${options.method ?? 'GET'} ${options.target ?? '/p'} HTTP/1.1`,
      `Host: ${rig.authorityOf()}`,
      `X-Alter-Grant: ${secret.grantId}`,
      ...lines,
    ];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n${options.body ?? ''}`, 'latin1');
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return answer;
  };
  const seen = () => rig.sink().requests[0]!;

  it.each([
    ['Authorization: Bearer of-the-client'],
    ['authorization: Bearer of-the-client', 'AUTHORIZATION: Basic b2Y6Y2xpZW50'],
    ['Authorization: one', 'Authorization: two', 'Authorization: three'],
  ])('sends exactly one value of an injected header, whatever the client brings (%s)', async (...lines) => {
    expect((await ask(bearer, lines)).status).toBe(200);
    expect(seen().all('authorization')).toEqual([`Bearer ${bearer.canary}`]);
  });

  it('removes twins of an injected header that differ in case or underscore', async () => {
    expect((await ask(several, ['x_api_key: mine', 'X-API-KEY: mine', 'x-api_key: mine'])).status).toBe(200);
    const names = seen().rawHeaders.filter((_, i) => i % 2 === 0 && /^x.api.key$/i.test(seen().rawHeaders[i]!));
    expect(names).toEqual(['X-Api-Key']);
    expect(seen().all('x-api-key')).toEqual([several.canary]);
    expect(seen().all('x-api-version')).toEqual(['2026-01-01']);
  });

  it.each([
    ['/p?api_key=mine', '/p'],
    ['/p?a=1&api_key=mine&b=2', '/p?a=1&b=2'],
    ['/p?%61pi_key=mine', '/p'],
    ['/p?API_KEY=mine', '/p'],
    ['/p?api_key[]=mine&api_key%5B%5D=mine', '/p'],
    ['/p?a=1;api_key=mine;b=2', '/p?a=1;b=2'],
    ['/p?api%5fkey=mine&api_key', '/p'],
    ['/p?a=%26api_key%3Dx&api_keys=2', '/p?a=%26api_key%3Dx&api_keys=2'],
    ['/p?', '/p?'],
  ])('sends exactly one value of an injected query parameter: %s', async (target, kept) => {
    expect((await ask(several, [], { target })).status).toBe(200);
    const added = `api_key=${several.canary}`;
    expect([`${kept}?${added}`, `${kept}&${added}`, `${kept}${added}`]).toContain(seen().url.replace('?&', '?'));
    expect(seen().url.split(several.canary)).toHaveLength(2);
    expect(seen().url).not.toContain('mine');
  });

  it.each([
    ['Connection: authorization'],
    ['Connection: close, Authorization'],
    ['Connection: keep-alive, x-api-key, host'],
    ['Proxy-Connection: authorization'],
    [`Connection: ${'authorization, '.repeat(500)}te`],
  ])('is not talked out of injecting by Connection (%#)', async (line) => {
    const answer = await ask(bearer, [line]);
    expect(answer.status).toBe(200);
    expect(seen().all('authorization')).toEqual([`Bearer ${bearer.canary}`]);
    expect(seen().all('connection').join()).not.toMatch(/authorization|api-key/i);
    expect(seen().all('host')).toEqual([rig.authorityOf()]);
  });

  it('removes what Connection nominates, and every hop-by-hop header', async () => {
    await ask(bearer, [
      'Connection: X-Hop',
      'X-Hop: 1',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Trailer: X-T',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABk',
      'Proxy-Foo: 1',
      'X-Stays: 1',
    ]);
    const names = seen()
      .rawHeaders.filter((_, i) => i % 2 === 0)
      .map((name) => name.toLowerCase());
    for (const gone of [
      'x-hop',
      'keep-alive',
      'te',
      'trailer',
      'upgrade',
      'http2-settings',
      'proxy-foo',
      'proxy-authorization',
    ])
      expect(names).not.toContain(gone);
    expect(names).toContain('x-stays');
  });

  it('lets none of its own tags travel on', async () => {
    await ask(bearer, [
      'X-Alter-Reason: because',
      'x-alter-caller: me',
      'X-ALTER-CONTEXT: tool=x',
      'X-Alter-Anything: 1',
    ]);
    expect(seen().rawHeaders.filter((name) => /alter/i.test(name))).toEqual([]);
    expect(rig.sink().raw.includes(bearer.grantId)).toBe(false);
    expect(rig.sink().raw.includes(key)).toBe(false);
  });

  it.each([
    [['X-Alter-Grant: 00000000-0000-7000-8000-000000000000']],
    [['x-alter-grant: 00000000-0000-7000-8000-000000000000']],
    [['X_Alter_Grant: 00000000-0000-7000-8000-000000000000']],
    [['X-Alter_Grant: x']],
    [['X-Alter-Grant : 00000000-0000-7000-8000-000000000000']],
    [['X-Alter-Grant:']],
  ])('refuses a second grant in any spelling: %j', async (lines) => {
    const answer = await ask(bearer, lines);
    expect(answer.status).toBe(400);
    expect(rig.sink().accepts).toBe(0);
  });

  it.each([
    'Content_Length: 44',
    'content_length: 0',
    'Transfer_Encoding: chunked',
    'TRANSFER_ENCODING: chunked',
    'Keep_Alive: timeout=5',
    'HTTP2_Settings: AAMAAABk',
    'Proxy_Authorization: Basic eDp5',
    'Proxy_Connection: close',
    'Proxy_Anything: 1',
    'X_Alter_Reason: because',
    'X-Alter_User_Token: x.y.z',
  ])('refuses an underscored twin of what the proxy reads itself: %s', async (line) => {
    const answer = await ask(bearer, [line]);
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'request_malformed']);
    expect(rig.sink().accepts).toBe(0);
  });

  it('passes on other names with an underscore', async () => {
    expect((await ask(bearer, ['X_Request_Id: 1', 'Content_Lengths: 2', 'sec_fetch_mode: cors'])).status).toBe(200);
    expect(seen().all('x_request_id')).toEqual(['1']);
    expect(seen().all('content_lengths')).toEqual(['2']);
  });

  it('refuses a list of grants in one header', async () => {
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    tunnel.socket.write(
      `GET / HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${bearer.grantId}, ${several.grantId}\r\n\r\n`,
    );
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([400, 'grant_header_invalid']);
  });

  it('does not pass trailers of the client on', async () => {
    const body = `5\r\nhello\r\n0\r\nAuthorization: mine\r\nX-Alter-Grant: ${several.grantId}\r\n\r\n`;
    expect(
      (await ask(bearer, ['Transfer-Encoding: chunked', 'Trailer: Authorization'], { method: 'POST', body })).status,
    ).toBe(200);
    expect(seen().body.toString()).toBe('hello');
    expect(rig.sink().raw.includes('mine')).toBe(false);
    expect(rig.sink().raw.includes(several.grantId)).toBe(false);
  });

  it.each(['TRACE', 'TRACK', 'DEBUG'])('refuses %s, which would echo the credential', async (method) => {
    const answer = await ask(bearer, [], { method });
    expect([400, 405]).toContain(answer.status);
    expect(rig.sink().accepts).toBe(0);
  });

  it('does not hand the client an answer that asks for its proxy key', async () => {
    rig.sink().answer = (_, res) => {
      res.writeHead(407, { 'Proxy-Authenticate': 'Basic realm="evil"' }).end();
    };
    const answer = await ask(bearer, []);
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([502, 'upstream_protocol']);
    expect(answer.headers['proxy-authenticate']).toBeUndefined();
  });

  it('removes from answers what would lead around the proxy', async () => {
    rig.sink().answer = (_, res) => {
      res
        .writeHead(200, {
          'Alt-Svc': 'h3=":443"',
          'Proxy-Status': 'evil',
          'X-Alter-Error': 'fake',
          'X-Stays': '1',
          Connection: 'X-Nominated',
          'X-Nominated': '1',
        })
        .end('ok');
    };
    const answer = await ask(bearer, []);
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    expect(answer.headers['x-stays']).toBe('1');
    for (const gone of ['alt-svc', 'proxy-status', 'x-alter-error', 'x-nominated'])
      expect(answer.headers[gone]).toBeUndefined();
    expect(answer.headers['x-alter-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});
