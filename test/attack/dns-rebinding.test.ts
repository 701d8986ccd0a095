import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { type NameAnswer, NameServer } from '../support/name-server.ts';
import { ServedRig } from '../support/served-rig.ts';
import { Sink, TestAuthority } from '../support/sink.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/*
 * Whoever owns an allowed name owns what it resolves to. The proxy runs as a process of its own here, with a name server of
 * the attacker in its resolv.conf: a mount namespace, for which the test has to be root on Linux. Where strace is on the
 * machine it tells every address that the process tried to reach. REBINDING_REQUESTS sets how often the answer turns.
 */
const requests = Number(process.env.REBINDING_REQUESTS ?? 60);
const nameServer = '127.0.53.53';
const allowed = '127.0.0.77';
const forbidden = '127.0.0.1';

const inNamespace = (resolvConf: string): readonly string[] => [
  ...['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c'],
  ...['mount --bind "$0" /etc/resolv.conf && exec "$@"', resolvConf],
];
const directory = mkdtempSync(join(tmpdir(), 'alter-dns-'));
const resolvConf = join(directory, 'resolv.conf');
writeFileSync(
  resolvConf,
  `nameserver ${nameServer}\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5 timeout:1 attempts:1\n`,
);
const [program, ...words] = inNamespace(resolvConf);
const canMount =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync(program!, [...words, 'true'], { stdio: 'ignore' }).status === 0;
const hasStrace = ['/usr/bin/strace', '/bin/strace'].some((path) => existsSync(path));
const describeWhereRoot = canMount ? describe : describe.skip;

describeWhereRoot('a name server of the attacker', () => {
  const authority = TestAuthority.create();
  const answers = new Map<string, (type: 'A' | 'AAAA') => NameAnswer>();
  let turn = 0;
  let names: NameServer;
  let rig: ServedRig;
  let outside: Sink;
  let inside: Sink;
  let key: string;
  let grantId: string;
  let tracer: ChildProcess | null = null;
  const trace = join(directory, 'connects');

  const say = (name: string, answer: NameAnswer | ((type: 'A' | 'AAAA') => NameAnswer)): void => {
    answers.set(name, typeof answer === 'function' ? answer : () => answer);
  };
  const at = (...addresses: string[]): NameAnswer => ({ addresses });

  beforeAll(async () => {
    say('rebound.test', (type) => at(type === 'A' && turn++ % 2 === 1 ? forbidden : allowed));
    say('alias.test', { alias: 'hop.test' });
    say('hop.test', { alias: 'last.test' });
    say('last.test', at('169.254.169.254'));
    say('inner-alias.test', { alias: 'localhost.test' });
    say('localhost.test', at(forbidden));
    say('mixed.test', at(allowed, '::1'));
    say('both.test', at(allowed, '10.0.0.1'));
    say('nat64.test', at('64:ff9b::a9fe:a9fe'));
    say('local-nat64.test', at('64:ff9b:1::a9fe:a9fe'));
    say('sixtofour.test', at('2002:a9fe:a9fe::'));
    say('teredo.test', at('2001:0:4136:e378:8000:63bf:3fff:fdd2'));
    say('mapped.test', at('::ffff:a9fe:a9fe'));
    say('unique-local.test', at('fd00::1'));
    say('missing.test', { failure: 'NXDOMAIN' });
    say('failing.test', { failure: 'SERVFAIL' });
    say('empty.test', at());
    say('silent.test', 'silence');
    say('plain.test', at(allowed));
    names = await NameServer.open(nameServer, answers);
    outside = await Sink.open({ authority: await authority, host: 'rebound.test', address: allowed });
    inside = await Sink.open({ authority: null, host: 'inside', address: forbidden, port: outside.port });
    outside.answer = (_, res) => res.setHeader('Connection', 'close').end('ok'); // each request resolves its name anew
    rig = await ServedRig.open({
      within: inNamespace(resolvConf),
      settings: {
        ALTER_HOSTS: '',
        ALTER_ALLOW_ADDRESSES: `${allowed}:${outside.port}`,
        ALTER_UPSTREAM_CA: (await authority).material.certificatePem,
        ALTER_CONNECT_TIMEOUT: '3s',
        ALTER_LOG_LEVEL: 'warn',
      },
    });
    const made = await rig.admin<{ id: string; grant_id: string }>('POST', '/managed-secrets', {
      name: 'wanted',
      credential_value: 'canary-of-the-rebinding',
    });
    grantId = made.grant_id;
    const hosts = [...answers.keys()].map((name) => `${name}:${outside.port}`);
    await rig.admin('PUT', `/managed-secrets/${made.id}/allowed-hosts`, { hosts });
    key = (await rig.mintKey()).key;
    if (hasStrace) {
      const pid = String(rig.child.pid);
      tracer = spawn('strace', ['-f', '-e', 'trace=connect', '-o', trace, '-p', pid], { stdio: 'ignore' });
      await eventually(() => existsSync(trace));
    }
  });
  beforeEach(() => {
    names.asked.length = 0;
    for (const sink of [inside, outside]) sink.forget();
  });
  afterAll(async () => {
    await rig?.close();
    names?.close();
    for (const sink of [inside, outside]) await sink?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const ask = async (name: string): Promise<string> => {
    const socket = await connectTo(rig.proxyPort);
    const reader = new AnswerReader(socket);
    const host = `${name}:${outside.port}`;
    socket.write(
      `GET https://${host}/ HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`,
    );
    const answer = await reader.next();
    socket.destroy();
    return answer.headers['x-alter-error'] ?? String(answer.status);
  };

  it(`turns its answer with each of ${requests} requests: nothing is dialled but what was checked`, async () => {
    const seen = new Map<string, number>();
    for (let i = 0; i < requests; i++) {
      const outcome = await ask('rebound.test');
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    expect([...seen.keys()].sort()).toEqual(['200', 'address_forbidden']);
    expect(seen.get('200')).toBe(requests / 2);
    expect(outside.requests).toHaveLength(requests / 2);
    expect(inside.accepts).toBe(0);
  }, 300_000);

  it.each([
    'alias.test',
    'inner-alias.test',
    'mixed.test',
    'both.test',
    'nat64.test',
    'local-nat64.test',
    'sixtofour.test',
    'teredo.test',
    'mapped.test',
    'unique-local.test',
  ])('leads nowhere inside: %s', async (name) => {
    expect(await ask(name)).toBe('address_forbidden');
    expect(inside.accepts + outside.accepts).toBe(0);
  });

  it.each(['missing.test', 'failing.test', 'empty.test', 'silent.test'])(
    'that has no answer gets one from the proxy within 5 s: %s',
    async (name) => {
      const elapsedMs = startStopwatch();
      expect(['upstream_dns', 'upstream_timeout']).toContain(await ask(name));
      expect(elapsedMs()).toBeLessThan(5_000);
      expect(inside.accepts + outside.accepts).toBe(0);
    },
  );

  it('is asked for the name as it is, never with a search list behind it', async () => {
    expect(await ask('plain.test')).toBe('upstream_tls'); // the certificate is of another name
    expect(await ask('missing.test')).toBe('upstream_dns');
    expect(new Set(names.asked)).toEqual(new Set(['plain.test', 'missing.test']));
  });

  (hasStrace ? it : it.skip)(
    'and strace saw no connection but to the allowed address and the name server',
    async () => {
      tracer!.kill('SIGINT');
      await once(tracer!, 'exit');
      // To put answers in order, the system's resolver "connects" to each on port 0 without sending anything.
      const reached = readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => !line.includes('htons(0)'))
        .flatMap((line) => /inet_(?:addr\("|pton\(AF_INET6, ")([^"]+)"/.exec(line)?.[1] ?? []);
      expect(reached).toContain(allowed);
      expect([...new Set(reached)].filter((address) => address !== allowed && address !== nameServer)).toEqual([]);
    },
  );
});

if (!canMount) it.skip('dns-rebinding needs root on Linux and unshare, for a resolv.conf of its own', () => {});
