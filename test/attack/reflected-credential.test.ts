import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * An upstream that sends the credential back in the head of its answer: a redirect that repeats the query, an echo service, an
 * error page that quotes the request. The workload must not learn from it what it is not given.
 */
describe('a credential that comes back in the head of an answer', () => {
  let rig: Rig;
  let query: StoredSecret;
  let bearer: StoredSecret;
  let basicAuth: StoredSecret;
  let odd: StoredSecret;
  let key: string;
  const password = `canary-${randomBytes(12).toString('hex')}`;
  const oddValue = `canary ${randomBytes(6).toString('hex')}/+&=~?`;

  beforeAll(async () => {
    rig = await Rig.open();
    const hosts = [rig.authorityOf()];
    query = await rig.storeSecret({
      hosts,
      body: { injection_rules: [{ target: 'query', name: 'api_key', format: '{token}' }] },
    });
    bearer = await rig.storeSecret({ hosts });
    basicAuth = await rig.storeSecret({
      hosts,
      body: { credential_type: 'basic_auth', credentials: { username: 'operator', password } },
    });
    odd = await rig.storeSecret({
      hosts,
      body: { credential_value: oddValue, injection_rules: [{ target: 'query', name: 'key', format: '{token}' }] },
    });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => rig.sink().forget());
  afterAll(() => rig?.close());

  /** Everything of the answer's head, as the client gets it. */
  const ask = async (
    secret: StoredSecret,
    answer: (url: string, rawHeaders: readonly string[]) => readonly string[],
    reason = 'Found',
  ): Promise<{ answer: RawResponse; head: string }> => {
    rig.sink().answer = (req, res) => {
      res.writeHead(302, reason, [...answer(req.url ?? '', req.rawHeaders), 'X-Kept', 'yes']);
      res.end('body');
    };
    const { socket, reader } = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    let bytes = '';
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.toString('latin1');
    });
    socket.write(`GET /p?a=1 HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const got = await reader.next();
    socket.destroy();
    expect(got.headers['x-kept']).toBe('yes');
    return { answer: got, head: bytes.slice(0, bytes.indexOf('\r\n\r\n')) };
  };

  it.each<[string, string, (url: string) => string, string]>([
    ['Location', 'a redirect for a slash', (url) => `https://a.test${url.replace('?', '/?')}`, 'https://a.test/p/?a=1'],
    ['Location', 'a fragment', (url) => `${url}#top`, '/p?a=1#top'],
    ['Location', 'another case', (url) => url.replace('api_key', 'API_KEY'), '/p?a=1'],
    ['Location', 'an encoded name', (url) => url.replace('api_key', '%61pi%5Fkey'), '/p?a=1'],
    ['Location', 'a semicolon', (url) => url.replace('&', ';'), '/p?a=1'],
    ['Location', 'the parameter first', (url) => url.replace(/a=1&(.*)/, '$1&a=1'), '/p?a=1'],
    ['Location', 'the parameter twice', (url) => `${url}&api_key=x&api_key[]=y`, '/p?a=1'],
    ['Content-Location', 'the same address', (url) => url, '/p?a=1'],
    [
      'Link',
      'two addresses',
      (url) => `<${url}>; rel="next", <${url}&page=2>; rel="last"`,
      '</p?a=1>; rel="next", </p?a=1&page=2>; rel="last"',
    ],
    ['Refresh', 'a reload', (url) => `5; url=${url}`, '5; url=/p?a=1'],
    ['Refresh', 'a quoted reload', (url) => `5; URL='${url}'`, "5; URL='/p?a=1'"],
    ['Set-Cookie', 'a path', (url) => `a=b; Path=${url}; Secure`, 'a=b; Path=/p?a=1; Secure'],
  ])('is taken out of %s with %s', async (name, _, make, expected) => {
    const { answer, head } = await ask(query, (url) => [name, make(url)]);
    expect(answer.headers[name.toLowerCase()]).toBe(expected);
    expect(head).not.toContain(query.canary);
  });

  it.each<[string, (value: string) => string]>([
    ['as it is', (value) => value],
    ['with words around it', (value) => `got "Bearer ${value}", thanks`],
    ['percent-encoded', (value) => encodeURIComponent(value)],
    [
      'percent-encoded in every byte',
      (value) => [...Buffer.from(value)].map((byte) => `%${byte.toString(16)}`).join(''),
    ],
    [
      'percent-encoded twice',
      (value) => encodeURIComponent([...Buffer.from(value)].map((byte) => `%${byte.toString(16)}`).join('')),
    ],
    [
      'in an address within an address',
      (value) => `https://login.test/?next=${encodeURIComponent(`/p?api_key=${encodeURIComponent(value)}`)}`,
    ],
  ])('takes its header with it: %s', async (_, spell) => {
    for (const [secret, value] of [
      [query, query.canary],
      [bearer, bearer.canary],
      [odd, oddValue],
    ] as const) {
      for (const name of ['X-Echo', 'Location', 'Set-Cookie', 'ETag', 'WWW-Authenticate']) {
        const { answer, head } = await ask(secret, () => [name, spell(value)]);
        expect(answer.headers[name.toLowerCase()]).toBeUndefined();
        expect(head).not.toContain(value);
      }
    }
  });

  it('takes its header with it: base64 of a user name and password, the password, and both in clear', async () => {
    const encoded = Buffer.from(`operator:${password}`).toString('base64');
    for (const value of [`Basic ${encoded}`, encoded, password, `operator:${password}`]) {
      const { answer, head } = await ask(basicAuth, () => ['X-Echo', value, 'X-User', 'operator']);
      expect(answer.headers['x-echo']).toBeUndefined();
      expect(answer.headers['x-user']).toBe('operator');
      expect(head).not.toContain(password);
    }
  });

  it('does not come back in the words behind the status', async () => {
    const { head } = await ask(bearer, () => [], `No ${bearer.canary} here`);
    expect(head).toMatch(/^HTTP\/1\.1 302 /);
    expect(head).not.toContain(bearer.canary);
  });

  it('does not come back where the upstream echoes the whole request', async () => {
    const { head } = await ask(query, (url, rawHeaders) => [
      ...rawHeaders.flatMap((each, i) => (i % 2 === 0 ? [`X-Echo-${each}`, rawHeaders[i + 1]!] : [])),
      'X-Echo-Url',
      url,
    ]);
    expect(head).not.toContain(query.canary);
    expect(head).toMatch(/X-Echo-host/i);
  });

  it('is all that is changed: other headers and addresses come as they were sent', async () => {
    const sent = [
      ...['Location', 'https://a.test/p/?a=1&b=%2F&&c;d#e'],
      ...['Link', '<https://a.test/p?page=2>; rel=next'],
      ...['Set-Cookie', 'a=b; Path=/; HttpOnly', 'Set-Cookie', 'c=d%20'],
      ...['ETag', '"%zz"', 'X-Long', 'x'.repeat(4_000)],
    ];
    for (const secret of [query, bearer, basicAuth]) {
      const { head } = await ask(secret, () => sent);
      for (let i = 0; i < sent.length; i += 2) expect(head).toContain(`${sent[i]}: ${sent[i + 1]}\r\n`);
    }
  });
});
