import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, extname, join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocketServer } from 'ws';
import { alter, alterCommand } from '../cli/alter.ts';
import { answerGit, createRepository } from '../support/git-server.ts';
import { inParallel } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { root } from '../support/source-files.ts';
import { Tap } from '../support/tap.ts';

/** What one example is driven through, beside a first request. */
interface Plan {
  /** What the first request asks for, where it is not `/hello`. */
  readonly path?: string;
  /** What it prints then, where it is not `ok`. */
  readonly prints?: string;
  /** It can send a file of 10 MiB. */
  readonly uploads?: true;
  /** It can be sent to another host. */
  readonly redirects?: true;
  /** Its first request is answered in two parts. */
  readonly streams?: true;
  /** It shows its key only after a 407. */
  readonly dances?: true;
  /** It is also started by `alter run`. */
  readonly runs?: true;
}

/** Every example, by its path under `examples`. */
const plans: Readonly<Record<string, Plan>> = {
  'curl/request.sh': { uploads: true, redirects: true, streams: true, runs: true },
  'wget/request.sh': { uploads: true, redirects: true, streams: true },
  'git/clone.sh': { path: '/repository.git', prints: 'Initial', redirects: true, dances: true, runs: true },
  'git/push.sh': { path: '/repository.git', prints: 'Upload', uploads: true },
  'python-requests/request.py': { uploads: true, redirects: true, streams: true, runs: true },
  'python-httpx/request.py': { uploads: true, redirects: true, streams: true },
  'python-urllib/request.py': { uploads: true, redirects: true, streams: true },
  'python-aiohttp/request.py': { uploads: true, redirects: true, streams: true },
  'boto3/get-object.py': { path: '/bucket/key' },
  'aws-cli/get-object.sh': { path: '/bucket/key', runs: true },
  'aws-sdk-js/get-object.mjs': { path: '/bucket/key' },
  'go/main.go': { uploads: true, redirects: true, streams: true, runs: true },
  'java/Main.java': { uploads: true, redirects: true, streams: true, dances: true, runs: true },
  'node-fetch/request.mjs': { uploads: true, redirects: true, streams: true, runs: true },
  'undici/request.mjs': { uploads: true, redirects: true, streams: true },
  'undici/connect.mjs': {},
  'axios/request.mjs': { uploads: true, redirects: true, streams: true, runs: true },
  'got/request.mjs': { uploads: true, redirects: true, streams: true, runs: true },
  'got/agent.mjs': {},
  'openai/chat.mjs': { path: '/v1', prints: 'first second', streams: true, runs: true },
  'stripe/balance.mjs': { prints: '"object":"balance"', runs: true },
  'ws/echo.mjs': { path: '/socket', prints: 'hello', runs: true },
  'python-websockets/echo.py': { path: '/socket', prints: 'hello' },
};

interface Recipe {
  readonly client: string;
  readonly example: string;
  readonly variables: readonly string[];
  readonly grant: string;
}

/** The rows of the matrix in docs/clients.md. */
const recipes: readonly Recipe[] = [
  ...readFileSync(join(root, 'docs/clients.md'), 'utf8').matchAll(
    /^\| \[([^\]]+)\]\(#[a-z-]+\) \| \[([^\]]+)\]\(\.\.\/examples\/([^)]+)\) \| ([^|]+) \| ([^|]+) \|$/gm,
  ),
].map(([, client = '', , example = '', variables = '', grant = '']) => ({
  client,
  example,
  variables: [...variables.matchAll(/`([A-Za-z_]+)`/g)].map((match) => match[1]!),
  grant,
}));

const path = process.env.PATH ?? '';
const pythons = ['python3', '/usr/bin/python3'];
const moduleOf: Readonly<Record<string, string>> = {
  'python-requests': 'requests',
  'python-httpx': 'httpx',
  'python-aiohttp': 'aiohttp',
  'python-websockets': 'websockets',
  boto3: 'boto3',
};
const programOf: Readonly<Record<string, string>> = { 'aws-cli': 'aws', go: 'go', java: 'java' };

const modulesFound = new Map(
  pythons.map((python) => [
    python,
    spawnSync(python, [
      '-c',
      `import importlib.util as u; print(*(m for m in ${JSON.stringify(Object.values(moduleOf))} if u.find_spec(m)))`,
    ])
      .stdout?.toString()
      .trim()
      .split(' ') ?? null,
  ]),
);

/** Python with this module, or any. Null where there is none. */
function findPython(module: string | undefined): string | null {
  return (
    pythons.find((python) => {
      const found = modulesFound.get(python) ?? null;
      return found !== null && (module === undefined || found.includes(module));
    }) ?? null
  );
}

function isOnPath(program: string): boolean {
  return path.split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, program)));
}

/** Why the machine can't run an example, or null. */
function whyMissing(example: string): string | null {
  const client = dirname(example);
  if (extname(example) === '.py') {
    const module = moduleOf[client];
    return findPython(module) === null ? `no Python here has ${module ?? 'urllib'}` : null;
  }
  const program = programOf[client] ?? (extname(example) === '.sh' ? client : null);
  return program === null || isOnPath(program) ? null : `there is no ${program} here`;
}

const opensSocket = (example: string): boolean => plans[example]?.path === '/socket';

/** What a client prints when it got a 200; these print no status. */
const printsNoStatus = ['git/clone.sh', 'git/push.sh', 'aws-cli/get-object.sh'];

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

const found = recipes.filter(({ example }) => whyMissing(example) === null);
const missing = recipes.filter(({ example }) => whyMissing(example) !== null);

describe('the recipes of docs/clients.md', () => {
  const files = readdirSync(join(root, 'examples'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'go.mod')
    .map((entry) => join(entry.parentPath, entry.name).slice(join(root, 'examples/').length));

  it('name every example, and none that is not there', () => {
    expect(recipes.map(({ example }) => example).sort()).toEqual([...files].sort());
  });

  it('are all driven here, or skipped by name', () => {
    expect(recipes.map(({ example }) => example).sort()).toEqual(Object.keys(plans).sort());
    expect(found.length).toBeGreaterThan(missing.length);
  });

  it('have a section each, and no section is without a recipe', () => {
    const text = readFileSync(join(root, 'docs/clients.md'), 'utf8');
    const linked = new Set([...text.matchAll(/^\| \[[^\]]+\]\(#([a-z-]+)\)/gm)].map((match) => match[1]!));
    const sections = [...text.matchAll(/^## (.+)$/gm)].map((match) => match[1]!.toLowerCase());
    expect([...linked].sort()).toEqual(
      sections.filter((name) => !/^(the matrix|what does not work)$/.test(name)).sort(),
    );
  });

  it('use in each example only variables that its row names', () => {
    for (const { example, variables } of recipes) {
      const text = readFileSync(join(root, 'examples', example), 'utf8');
      const code = text.replace(/^\s*(#|\/\/|\/?\*|"""[\s\S]*?""").*$/gm, '');
      const read = code.match(/\b(?:https?_proxy|HTTPS?_PROXY|SSL_CERT_FILE|[A-Z_]+_CA_[A-Z]+|ALTER_\w+)\b/g) ?? [];
      expect([example, read.filter((name) => !variables.includes(name))]).toEqual([example, []]);
    }
  });

  if (missing.length > 0)
    it.skip.each(missing.map(({ client, example }) => [client, whyMissing(example)]))('hold for %s: %s', () => {});
});

describe('a client with the variables of its recipe', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let exported: Map<string, string>;
  let sockets: Server;
  let socketsPort: number;
  let tap: Tap;
  let goProgram: string;
  let javaClasses: string;
  let release: (() => void) | null = null;
  const handshakes: string[][] = [];
  const upload = randomBytes(10 * 1_024 * 1_024);

  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test', 'b.test', 'other.test'], alsoAllow: '127.0.0.1/32' });
    const leaf = rig.authority.leafFor('a.test');
    sockets = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem });
    new WebSocketServer({ server: sockets }).on('connection', (socket, req) => {
      handshakes.push(req.rawHeaders);
      socket.on('message', (data) => socket.send(data, { binary: false }));
    });
    await new Promise<void>((resolve) => {
      sockets.listen(0, '127.0.0.1', resolve);
    });
    socketsPort = (sockets.address() as AddressInfo).port;
    secret = await rig.storeSecret({ hosts: [rig.authorityOf(), `a.test:${socketsPort}`], name: 'Secret' });
    await rig.storeSecret({ hosts: [rig.authorityOf('other.test')], name: 'Other' });
    key = (await rig.mintKey()).key;
    writeFileSync(join(rig.directory, 'upload'), upload);
    // It stands for the public roots that a machine trusts: blind tunnels end at certificates of its.
    writeFileSync(join(rig.directory, 'public.pem'), rig.authority.material.certificatePem);
    tap = await Tap.open(rig.proxyPort);
    answer(createRepository(rig.directory));

    const { code, stdout, stderr } = await alter(['env'], { env: operator() });
    expect([code, stderr]).toEqual([0, '']);
    exported = new Map([...stdout.matchAll(/^export (\w+)='(.*)'$/gm)].map((match) => [match[1]!, match[2]!]));
    const [, truststore] = /trustStore=(\S+)/.exec(exported.get('JAVA_TOOL_OPTIONS') ?? '') ?? [];
    if (truststore !== undefined)
      execFileSync(
        'keytool',
        ['-importcert', '-noprompt', '-alias', 'public', '-file', join(rig.directory, 'public.pem')].concat([
          '-keystore',
          truststore,
          '-storepass',
          'changeit',
        ]),
        { stdio: 'ignore' },
      );
  });
  beforeEach(() => {
    for (const name of ['a.test', 'b.test', 'other.test']) rig.sink(name).forget();
    handshakes.length = 0;
    release = null;
  });
  afterAll(async () => {
    sockets?.closeAllConnections();
    sockets?.close();
    await tap?.close();
    await rig?.close();
  });

  /** What an operator has in the environment who calls `alter run` or `alter env`. */
  const operator = (): Record<string, string> => ({
    PATH: path,
    HOME: rig.directory,
    XDG_CACHE_HOME: rig.directory,
    ALTER_KEY: key,
    ALTER_PROXY_URL: `http://127.0.0.1:${rig.proxyPort}`,
    ALTER_CA_FILE: rig.caFile,
    NODE_EXTRA_CA_CERTS: join(rig.directory, 'public.pem'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
  });

  const answer = (repository: string): void => {
    rig.sink().answer = (req, res, body) => {
      const { method = '', url = '', headers } = req;
      const [, to, rest = ''] = /^\/to-(b|other)(.*)$/.exec(url) ?? [];
      if (to !== undefined)
        res.writeHead(302, { location: `https://${rig.authorityOf(`${to}.test`)}/landed${rest}` }).end();
      else if (url.startsWith('/repository.git'))
        answerGit({ folder: repository, method, target: url.slice('/repository.git'.length), headers, body, res });
      else if (url === '/v1/chat/completions') {
        const event = (content: string): string => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        inTwoParts(res, [event('first'), `${event(' second')}data: [DONE]\n\n`]);
      } else if (url === '/stream') inTwoParts(res, ['first', ' second']);
      else if (url === '/v1/balance')
        res.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"balance"}');
      else if (method === 'POST') res.end(createHash('sha256').update(body).digest('hex'));
      else res.end('ok');
    };
  };

  /** The second part is sent when the test has seen the client print the first. */
  const inTwoParts = (res: { write(part: string): void; end(part: string): void }, parts: [string, string]): void => {
    res.write(parts[0]);
    release = () => res.end(parts[1]);
  };

  const commandOf = (example: string): readonly [string, ...string[]] => {
    const file = join(root, 'examples', example);
    switch (extname(example)) {
      case '.sh':
        return ['sh', file];
      case '.py':
        return [findPython(moduleOf[dirname(example)])!, file];
      case '.go':
        return [goProgram];
      case '.java':
        return ['java', '-cp', javaClasses, 'Main'];
      default:
        return [process.execPath, file];
    }
  };

  /** Go compiles its standard library when it is asked for the first time: that may take a minute. */
  const build = (example: string): void => {
    const source = join(root, 'examples', example);
    if (extname(example) === '.go') {
      goProgram = join(rig.directory, 'go-example');
      const env = { ...process.env, GOTOOLCHAIN: 'local', GOPROXY: 'off', GOFLAGS: '' };
      execFileSync('go', ['build', '-o', goProgram, '.'], { cwd: dirname(source), env });
    } else if (extname(example) === '.java') {
      javaClasses = join(rig.directory, 'classes');
      execFileSync('javac', ['-d', javaClasses, source]);
    }
  };

  const urlOf = (example: string, at: string): string => {
    if (opensSocket(example)) return `wss://a.test:${socketsPort}${at}`;
    return `https://${rig.authorityOf()}${at}`;
  };

  /** Runs an example with the variables of its row, and nothing else that is of use. */
  const drive = (
    { example, variables, grant }: Recipe,
    at: string,
    more: { readonly env?: Record<string, string>; readonly port?: number } = {},
  ): Promise<Ended> => {
    const user = grant === 'user name' ? secret.grantId : 'x';
    const values = variables.map((name) => {
      const value = exported.get(name);
      if (value === undefined) throw new Error(`alter env does not print ${name}`);
      const port = String(more.port ?? rig.proxyPort);
      return [name, value.replace('//auto:', `//${user}:`).replace(`:${rig.proxyPort}`, `:${port}`)];
    });
    return start(commandOf(example), {
      PATH: path,
      HOME: rig.directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      ...Object.fromEntries(values),
      URL: urlOf(example, at),
      ...(user === 'x' ? { GRANT: secret.grantId } : {}),
      ...more.env,
    });
  };

  const start = async (
    [program, ...words]: readonly [string, ...string[]],
    env: Record<string, string>,
  ): Promise<Ended> => {
    const child = spawn(program, words, {
      env,
      cwd: rig.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
        if (!output.includes('first')) return;
        release?.();
        release = null;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    for (const canary of rig.canaries.filter((one) => one !== key)) expect(output).not.toContain(canary);
    return { code, output };
  };

  /** Each request that arrived had the credential once, and nothing that was meant for the proxy. */
  const expectInjected = (): void => {
    const { requests, raw } = rig.sink();
    const seen = [...requests.map((request) => request.rawHeaders), ...handshakes];
    expect(seen.length).toBeGreaterThan(0);
    for (const headers of seen) {
      const names = headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
      expect(headers.filter((_, i) => names[(i - 1) / 2] === 'authorization')).toEqual([`Bearer ${secret.canary}`]);
      expect(headers.filter((text) => text.includes(secret.canary))).toHaveLength(1);
      expect(names.filter((name) => /^(?:x-alter|proxy)-/.test(name))).toEqual([]);
    }
    expect(raw.toString('latin1').split(secret.canary)).toHaveLength(requests.length + 1);
    expect(raw.includes(key)).toBe(false);
  };

  const firstPath = (example: string): string =>
    plans[example]?.path ?? (plans[example]?.streams ? '/stream' : '/hello');
  const firstWords = (example: string): string =>
    plans[example]?.prints ?? (plans[example]?.streams ? 'first second' : 'ok');

  const expectFirst = ({ code, output }: Ended, example: string): void => {
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining(firstWords(example)) });
    if (opensSocket(example)) expect(output).toMatch(/\b101\b/);
    else if (!printsNoStatus.includes(example)) expect(output).toMatch(/\b200\b/);
    expectInjected();
  };

  describe.each(found.map((recipe) => [recipe.example, recipe] as const))('%s', (example, recipe) => {
    const plan = plans[example] ?? {};

    beforeAll(() => build(example));

    if (example !== 'git/push.sh')
      it(`gets the credential put in, its grant named by ${recipe.grant}${plan.streams ? ', and reads the answer as it comes' : ''}`, async () => {
        expectFirst(await drive(recipe, firstPath(example)), example);
      });

    if (plan.uploads)
      it('sends 10 MiB', async () => {
        const ended = await drive(recipe, plan.path ?? '/upload', { env: { FILE: join(rig.directory, 'upload') } });
        const words = plan.prints ?? createHash('sha256').update(upload).digest('hex');
        expect(ended).toEqual({ code: 0, output: expect.stringContaining(words) });
        expect(Math.max(...rig.sink().requests.map(({ body }) => body.length))).toBeGreaterThanOrEqual(upload.length);
        expectInjected();
      });

    if (plan.redirects)
      it('brings no credential to where it is sent on to', async () => {
        const rest = plan.path ?? '';
        await Promise.all([drive(recipe, `/to-b${rest}`), drive(recipe, `/to-other${rest}`)]);
        expectInjected();
        const [b, other] = [rig.sink('b.test'), rig.sink('other.test')];
        expect(b.requests.length).toBeGreaterThan(0); // no secret allows it: passed on blindly
        expect(b.requests[0]?.all('authorization')).toEqual([]);
        expect(other.accepts).toBe(0); // another secret's host: the grant that the client names again is refused there
        for (const canary of rig.canaries) expect(b.raw.includes(canary)).toBe(false);
      });

    if (plan.dances)
      it('shows its key when the proxy has asked for it, on the same connection', async () => {
        tap.lines.length = 0;
        tap.accepts = 0;
        expectFirst(await drive(recipe, firstPath(example), { port: tap.port }), example);
        const asked = `CONNECT ${rig.authorityOf()} HTTP/1.1`;
        expect(tap.lines.slice(0, 4)).toEqual([
          asked,
          'HTTP/1.1 407 Proxy Authentication Required',
          asked,
          'HTTP/1.1 200 Connection Established',
        ]);
      });

    if (plan.runs)
      it('needs nothing but `alter run` before it', async () => {
        const [node, ...words] = alterCommand;
        const env = { ...operator(), URL: urlOf(example, firstPath(example)) };
        expectFirst(await start([node, ...words, 'run', '--', ...commandOf(example)], env), example);
      });
  });

  it('of Node reaches nothing by itself without NODE_USE_ENV_PROXY, if its recipe has that', async () => {
    const needy = found.filter(({ variables }) => variables.includes('NODE_USE_ENV_PROXY'));
    expect(needy.length).toBeGreaterThan(4);
    await inParallel(needy, 2, async (recipe) => {
      const { code } = await drive(recipe, firstPath(recipe.example), { env: { NODE_USE_ENV_PROXY: '' } });
      expect([recipe.example, code]).toEqual([recipe.example, 1]);
    });
    expect(rig.sink().accepts + handshakes.length).toBe(0);
  });

  const java = found.find(({ example }) => example === 'java/Main.java');
  (java === undefined ? it.skip : it)(
    'of Java never shows its key where Basic is disabled, as it is by default',
    async () => {
      const options = exported
        .get('JAVA_TOOL_OPTIONS')!
        .replace(/ -Djdk\.http\.auth\.tunneling\.disabledSchemes=$/, '');
      const { output } = await drive(java!, '/hello', { env: { JAVA_TOOL_OPTIONS: options } });
      expect(output).toContain('407');
      expect(rig.sink().accepts).toBe(0);
    },
  );

  it('may put the grant on the CONNECT, as curl does with --proxy-header', async () => {
    const words = ['--proxy-header', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/hello`];
    expect(await rig.curl(words, { key })).toMatchObject({ code: 0, stdout: 'ok' });
    expectInjected();
  });

  it('may accept one key of one server only, where no secret is for that host', async () => {
    const pinned = async (host: string, user: string): Promise<Ended> => {
      const socket = connect({
        host: '127.0.0.1',
        port: rig.sink(host).port,
        servername: host,
        rejectUnauthorized: false,
      });
      await once(socket, 'secureConnect');
      const spki = new X509Certificate(socket.getPeerCertificate().raw).publicKey.export({
        type: 'spki',
        format: 'der',
      });
      socket.destroy();
      const pin = `sha256//${createHash('sha256').update(spki).digest('base64')}`;
      const words = ['--cacert', join(rig.directory, 'public.pem'), '--pinnedpubkey', pin];
      const { code, stdout } = await rig.curl([...words, `https://${rig.authorityOf(host)}/`], { key, user });
      return { code, output: stdout };
    };
    expect(await pinned('b.test', 'auto')).toEqual({ code: 0, output: 'ok' });
    expect(await pinned('a.test', 'auto')).toEqual({ code: expect.any(Number), output: '' });
    expect(rig.sink().requests).toEqual([]);
  });
});
