import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endWithUs } from '../support/end-with-us.ts';
import { eventually, inParallel } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * A path that the policy reads as allowed and the server reads as another one. The rule is /v1/allowed/**; what gets through
 * must lie below /v1/allowed/ for every server that may stand there, each with its own idea of how a path is read.
 */
const rule = '/v1/allowed/**';

const plain = [
  '/v1/allowed/a',
  '/v1/allowed/a/b',
  '/v1/allowed/a%20b',
  '/v1/allowed/%C3%A9',
  '/v1/allowed/a.b',
  '/v1/allowed/...',
  '/v1/allowed/a?next=../../secret',
  '/v1/allowed/~x',
  '/v1/allowed/a/',
];

const dots = [
  '..',
  '.',
  '%2e%2e',
  '%2E%2E',
  '.%2e',
  '%2e.',
  '%2e',
  '..%00',
  '%252e%252e',
  '..%2f',
  '%c0%ae%c0%ae',
  '%e0%80%ae%e0%80%ae',
  '..;',
  '..;a=b',
  '..%3b',
  '..%5c',
  '..\\',
  '%uff0e%uff0e',
];
const tricky = [
  ...dots.flatMap((dot) => [`/v1/allowed/${dot}/secret`, `/v1/allowed/${dot}`, `/v1/${dot}/v1/allowed/x`]),
  '/secret',
  '/',
  '/v1',
  '/v1/allowed',
  '/v1/allowed/',
  '/v1/allowed2/x',
  '/v1/allowedx',
  '/V1/allowed/x',
  '/v1/Allowed/x',
  '/v1/ALLOWED/x',
  '//v1/allowed/x',
  '/v1//allowed/x',
  '/v1/allowed//x',
  '/v1/allowed/..%2f..%2fsecret',
  '/v1/allowed%2f..%2f..%2fsecret',
  '/v1%2fallowed%2fx',
  '/v1/allowed%2fx',
  '/v1/%61llowed/x',
  '/%76%31/allowed/x',
  '/v1/allowed/%',
  '/v1/allowed/%zz',
  '/v1/allowed/%ff',
  '/v1/allowed/%00',
  '/v1/allowed/x%00/../../secret',
  '/v1/allowed/x%0d%0aGET%20/secret',
  '/v1/allowed\\x',
  '/v1/allowed/\\..\\..\\secret',
  '/v1/allowed;x/y',
  '/v1/allowed/;/../../secret',
  '/v1;/allowed/x',
  '/v1/allowed/%2523',
  '/v1/allowed/x%23/../../secret',
  '/v1/allowed/x%3f/../../../secret',
  '/v1/allowed/x#/../../secret',
  '/secret#/v1/allowed/x',
  '/secret?/v1/allowed/x',
  '/secret%3f/v1/allowed/x',
  '/secret;/v1/allowed/x',
  '/secret/../v1/allowed/x',
  '/v1/allowed/./../../secret',
];

/** A server that answers with the path as it reads it, on a port of its own. */
interface Reader {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

describe(`a policy with the path ${rule}`, () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  const readers: Reader[] = [];
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    const installed = [
      ['nginx', ['nginx', '-v']],
      ['python', ['python3', '--version']],
    ] as const;
    for (const [name, [command, flag]] of installed)
      if (spawnSync(command, [flag]).status === 0)
        readers.push({ name, host: `${name}.test`, port: await findFreePort() });
    rig = await Rig.open({
      alsoAllow: readers.map(({ port }) => `127.0.0.1:${port}`).join(',') || '127.0.0.1:1',
      settings: {
        ALTER_HOSTS: ['a.test', ...readers.map(({ host }) => host)].map((host) => `${host}=127.0.0.1`).join(),
      },
    });
    rig.sink().answer = (req, res) => {
      res.end(new URL(req.url ?? '', 'http://x').pathname); // what a Node server that uses URL takes for the path
    };
    for (const reader of readers) children.push(await start(reader, rig));
    readers.push({ name: 'node', host: 'a.test', port: rig.sink().port });
    secret = await rig.storeSecret({
      hosts: readers.map(({ host, port }) => `${host}:${port}`),
      body: { policy: { paths: [rule] } },
    });
    key = (await rig.mintKey()).key;
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rig?.close();
  });

  const ask = async (
    reader: Reader,
    path: string,
    options: { readonly method?: string; readonly lines?: readonly string[]; readonly grantId?: string } = {},
  ): Promise<RawResponse> => {
    const target = `${reader.host}:${reader.port}`;
    const ca = rig.service.authorityPem;
    const tunnel = await mustOpen({ proxyPort: rig.proxyPort, target, key, serverName: reader.host, ca });
    const { method = 'GET', lines = [], grantId = secret.grantId } = options;
    const head = [`${method} ${path} HTTP/1.1`, `Host: ${target}`, `X-Alter-Grant: ${grantId}`, ...lines];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n`, 'latin1');
    const answer = await tunnel.reader.next({ bodyless: method === 'HEAD' });
    tunnel.socket.destroy();
    return answer;
  };

  it('lets ordinary paths below the prefix through to every server, byte by byte', async () => {
    for (const reader of readers)
      for (const path of plain)
        expect([reader.name, path, (await ask(reader, path)).status]).toEqual([reader.name, path, 200]);
    expect(rig.sink().requests.map(({ url }) => url)).toEqual(plain);
  });

  it(`sends none of ${tricky.length} odd paths to a place outside, as Node, nginx and Python read it`, async () => {
    expect(tricky.length).toBeGreaterThanOrEqual(80);
    const outside: string[] = [];
    const refused = new Set<string>();
    for (const reader of readers) {
      await inParallel(tricky, 8, async (path) => {
        const answer = await ask(reader, path);
        if (answer.headers['x-alter-error'] !== undefined) {
          expect(['policy_violation', 'request_malformed']).toContain(answer.headers['x-alter-error']);
          refused.add(path);
        } else if (!answer.body.startsWith('/v1/allowed/'))
          outside.push(`${reader.name} read ${path} as ${answer.body}`);
      });
    }
    expect(outside).toEqual([]);
    expect(tricky.filter((path) => !refused.has(path))).toEqual([]); // they are strange enough for none to pass at all
    const urls = rig.sink().requests.map(({ url }) => url);
    expect(urls.filter((url) => !plain.includes(url))).toEqual([]);
  });

  it('would let them reach the server without the rule: what is refused is refused by it', async () => {
    const open = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const node = readers.find(({ name }) => name === 'node')!;
    const through: string[] = [];
    await inParallel(tricky, 8, async (path) => {
      if ((await ask(node, path, { grantId: open.grantId })).status === 200) through.push(path);
    });
    expect(through.length).toBeGreaterThan(70);
  });

  it('is told which way the path is ambiguous', async () => {
    const answer = await ask(readers.at(-1)!, '/v1/allowed/%2e%2e/secret');
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'policy_violation', policy_error: 'path_not_allowed' });
    expect(answer.body).toContain('%2e');
  });

  it.each([
    ['get', '', []],
    ['Get', '', []],
    ['POST', '', []],
    ['POST', '?_method=GET', ['X-HTTP-Method-Override: GET']],
    ['GETX', '', []],
    ['GET', '', ['X-HTTP-Method-Override: DELETE']],
    ['GET', '', ['x-http-method-override: delete']],
    ['GET', '', ['X_HTTP_Method_Override: DELETE']],
    ['GET', '', ['X-HTTP-Method: MERGE']],
    ['GET', '', ['X-Method-Override: PUT']],
    ['GET', '', ['X-HTTP-Method-Override: GET', 'X-HTTP-Method-Override: DELETE']],
    ['GET', '?_method=DELETE', []],
    ['GET', '?a=1&%5fm%65thod=delete', []],
  ] as const)('with methods beside it is not widened by %s %s and %j', async (method, query, lines) => {
    const narrow = await rig.storeSecret({ hosts: [rig.authorityOf()], body: { policy: { methods: ['GET'] } } });
    rig.sink().forget();
    const node = readers.find(({ name }) => name === 'node')!;
    const answer = await ask(node, `/v1/allowed/a${query}`, { method, lines, grantId: narrow.grantId });
    expect(answer.status === 400 || answer.headers['x-alter-error'] === 'policy_violation').toBe(true);
    expect(rig.sink().requests).toEqual([]);
    const usual = { grantId: narrow.grantId, lines: ['X-HTTP-Method-Override: get'] };
    expect((await ask(node, '/v1/allowed/a?_method=GET&b', usual)).status).toBe(200);
  });

  it.each(['X-Original-URL: /secret', 'x-rewrite-url: /secret', 'X_Original_URL: /v1/allowed/b'])(
    'is not widened by %s, which some servers take for the path',
    async (line) => {
      const node = readers.find(({ name }) => name === 'node')!;
      const answer = await ask(node, '/v1/allowed/a', { lines: [line] });
      expect(JSON.parse(answer.body)).toMatchObject({ policy_error: 'path_not_allowed' });
    },
  );
});

async function start(reader: Reader, rig: Rig): Promise<ChildProcess> {
  const directory = join(rig.directory, reader.name);
  await mkdir(directory);
  const leaf = rig.authority.leafFor(reader.host);
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  await writeFile(cert, leaf.chainPem);
  await writeFile(key, leaf.privateKeyPem);
  const child = reader.name === 'nginx' ? await startNginx() : await startPython();
  endWithUs(child);
  await eventually(() => answers(reader.port));
  return child;

  async function startNginx(): Promise<ChildProcess> {
    const file = join(directory, 'nginx.conf');
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    await writeFile(
      file,
      `daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/error.log;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${reader.port} ssl;
    ssl_certificate ${cert}; ssl_certificate_key ${key};
    location / { default_type text/plain; return 200 $uri; }
  }
}
`,
    );
    return spawn('nginx', ['-p', directory, '-c', file], { stdio: 'ignore' });
  }

  /** The file that its standard server would give out, as a path below its root. */
  async function startPython(): Promise<ChildProcess> {
    const file = join(directory, 'server.py');
    await writeFile(
      file,
      `import http.server, os, ssl
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        read = self.translate_path(self.path)[len(os.getcwd()):]
        body = read.encode('utf-8', 'surrogateescape')
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', ${reader.port}), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('${cert}', '${key}')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
`,
    );
    return spawn('python3', [file], { cwd: directory, stdio: 'ignore' });
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
