import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../certs/authority.ts';
import { issueId } from '../../core/id.ts';
import { issueToken } from '../../core/token.ts';
import { alter, alterCommand, runProgram } from './alter.ts';

let directory: string;
let certificate: string;
let env: Record<string, string>;
const key = issueToken('runtime', Date.now()).plaintext;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'alter-run-'));
  certificate = (await createAuthority({ now: Date.now() })).certificatePem;
  writeFileSync(join(directory, 'ca.pem'), certificate);
  writeFileSync(join(directory, 'key'), `${key}\n`);
  // Without a keytool the suite does not wait for Java.
  env = {
    ALTER_CA_FILE: join(directory, 'ca.pem'),
    ALTER_KEY: key,
    XDG_CACHE_HOME: join(directory, 'cache'),
    PATH: '/usr/local/bin:/bin',
  };
});
afterAll(() => rmSync(directory, { recursive: true }));

const run = (words: readonly string[], more: Record<string, string> = {}, stdin?: string) =>
  alter(['run', ...words], { env: { ...env, ...more }, ...(stdin === undefined ? {} : { stdin }) });

describe('alter run', () => {
  it('gives the command the proxy and the trust, and nothing of the operator', async () => {
    const operator = {
      ALTER_PAT: issueToken('pat', Date.now()).plaintext,
      ALTER_ADMIN_URL: 'http://127.0.0.1:1',
      ALTER_APP_ID: 'a',
      ALTER_ROOT_KEY: 'r',
      ALTER_APP_KEY: 'k',
      OTHER: 'kept',
      NO_PROXY: 'db.local',
    };
    const { code, stdout, stderr } = await run(['--', 'env'], operator);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const seen = new Map(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/=(.*)/s, 2) as [string, string]),
    );
    expect([...seen.keys()].filter((name) => name.toUpperCase().startsWith('ALTER_'))).toEqual([]);
    expect(stdout).not.toContain(operator.ALTER_PAT);
    expect(seen.get('OTHER')).toBe('kept');
    expect(seen.get('HTTPS_PROXY')).toBe(`http://auto:${key}@127.0.0.1:3128`);
    expect(seen.get('NO_PROXY')).toBe('localhost,127.0.0.1,::1,db.local');
    const bundle = readFileSync(seen.get('SSL_CERT_FILE') ?? '', 'utf8');
    expect(new X509Certificate(bundle).fingerprint256).toBe(new X509Certificate(certificate).fingerprint256);
    expect(seen.get('NODE_EXTRA_CA_CERTS')).toBe(seen.get('SSL_CERT_FILE'));
  });

  const whereProc = existsSync('/proc/self/environ') ? it : it.skip;
  whereProc('leaves no token of the operator in the environment of the process above the command', async () => {
    const ALTER_PAT = issueToken('pat', Date.now()).plaintext;
    const { code, stdout } = await run(['--', 'sh', '-c', 'cat /proc/$PPID/environ /proc/$PPID/cmdline'], {
      ALTER_PAT,
    });
    expect(code).toBe(0);
    expect(stdout).toContain('HTTPS_PROXY=');
    expect(stdout).not.toContain('ALTER_');
    expect(stdout).not.toContain(ALTER_PAT);
  });

  whereProc('starts the command with the dispositions of signals that a shell would give it', async () => {
    const { stdout } = await run(['--', 'grep', 'SigIgn', '/proc/self/status']);
    expect(stdout).toMatch(/^SigIgn:\s0+$/m);
  });

  it('takes grant, key and proxy from its flags', async () => {
    const grants = `${issueId(1)},${issueId(2)}`;
    const words = ['--grant', grants, '--key-file', join(directory, 'key'), '--proxy-url', 'https://proxy.internal'];
    const { stdout } = await run([...words, '--', 'printenv', 'HTTPS_PROXY'], { ALTER_KEY: '' });
    expect(stdout).toBe(`https://${grants}:${key}@proxy.internal:443\n`);
  });

  it('takes the projected token of a pod for a key, and leaves it to the proxy to judge', async () => {
    const token = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.${'a'.repeat(86)}`;
    writeFileSync(join(directory, 'token'), `${token}\n`);
    const { stdout } = await run(['--key-file', join(directory, 'token'), '--', 'printenv', 'HTTPS_PROXY']);
    expect(stdout).toBe(`http://auto:${token}@127.0.0.1:3128\n`);
  });

  it('passes words on as they are, in their order, and standard input too', async () => {
    const words = ['a', 'b', 'a', '--help', '--', '-x', '', '*', '--grant'];
    const { stdout } = await run(['--', 'sh', '-c', 'cat; for w; do echo "<$w>"; done', 'sh', ...words], {}, 'in\n');
    expect(stdout).toBe(`in\n${words.map((word) => `<${word}>\n`).join('')}`);
  });

  it('passes the exit code on, 128 + n for a signal, 127 and 126 where there is nothing to run', async () => {
    expect(await run(['--', 'sh', '-c', 'exit 7'])).toMatchObject({ code: 7, stderr: '' });
    expect(await run(['--', 'sh', '-c', 'kill -KILL $$'])).toMatchObject({ code: 137 });
    expect(await run(['--', 'nosuchcommand'])).toMatchObject({
      code: 127,
      stderr: 'Error: There is no command nosuchcommand.\n',
    });
    expect(await run(['--', directory])).toMatchObject({ code: 126 });
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const)('passes %s on to the command', async (signal) => {
    const [node, ...rest] = alterCommand;
    const script = `trap 'echo got; exit 3' ${signal.slice(3)}; echo ready; while :; do sleep 0.05; done`;
    const child = spawn(node, [...rest, 'run', '--', 'sh', '-c', script], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
      if (out === 'ready\n') child.kill(signal);
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect({ code, out }).toEqual({ code: 3, out: 'ready\ngot\n' });
  });

  it.each<[string, readonly string[], Record<string, string>, number, RegExp]>([
    ['no command', [], {}, 2, /no command to run/],
    ['a command without --', ['curl'], {}, 2, /too many: curl/],
    ['no key', ['--', 'true'], { ALTER_KEY: '' }, 2, /there is no key/],
    ['a mistyped key', ['--', 'true'], { ALTER_KEY: `${key}x` }, 2, /does not hold a key/],
    [
      'a token in place of a key',
      ['--', 'true'],
      { ALTER_KEY: issueToken('pat', Date.now()).plaintext },
      2,
      /personal access token/,
    ],
    ['a key file that is not there', ['--key-file', '/nonexistent/key', '--', 'true'], {}, 4, /no file/],
    ['a grant that is none', ['--grant', 'stripe', '--', 'true'], {}, 2, /--grant: "stripe"/],
    ['a proxy with a password', ['--proxy-url', 'http://u:p@h:1', '--', 'true'], {}, 2, /--proxy-url/],
    ['no CA', ['--', 'true'], { ALTER_CA_FILE: '' }, 2, /--ca is missing/],
    ['a CA file that is not there', ['--ca', '/nonexistent/ca.pem', '--', 'true'], {}, 4, /no file/],
    ['a CA file that is none', ['--ca', '/etc/passwd', '--', 'true'], {}, 2, /no PEM certificate/],
    [
      'a CA from a service that is not there',
      ['--', 'true'],
      { ALTER_CA_FILE: '', ALTER_PAT: issueToken('pat', Date.now()).plaintext, ALTER_ADMIN_URL: 'http://127.0.0.1:1' },
      8,
      /can't be reached/,
    ],
  ])('refuses %s', async (_, words, more, code, message) => {
    const ended = await run(words, more);
    expect(ended).toMatchObject({ code, stdout: '' });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toContain(key);
  });

  it('does not trust a CA that lies in the directory', async () => {
    const { code } = await alter(['run', '--', 'true'], { env: { ...env, ALTER_CA_FILE: '' }, cwd: directory });
    expect(code).toBe(2);
  });

  it('gives Java a truststore made with its keytool, and goes without where that fails', async () => {
    const bin = join(directory, 'broken-jdk');
    writeFileSync(join(directory, 'keytool'), '#!/bin/sh\nexit 1\n');
    chmodSync(join(directory, 'keytool'), 0o755);
    expect(await run(['--', 'true'], { PATH: `${directory}:${bin}:/bin` })).toMatchObject({ code: 0, stderr: '' });
    const words = ['--', 'printenv', 'JAVA_TOOL_OPTIONS'];
    const { stdout, code } = await run(words, { PATH: '/usr/bin:/bin', JAVA_TOOL_OPTIONS: '-Xmx1g' });
    if (code !== 0) return; // there is no Java on this machine
    expect(stdout).toMatch(/^-Xmx1g -Djavax\.net\.ssl\.trustStore=\S+ /);
    const store = /trustStore=(\S+)/.exec(stdout)?.[1] ?? '';
    const listed = await runProgram('/usr/bin/keytool', ['-list', '-keystore', store, '-storepass', 'changeit']);
    expect(listed.stdout).toContain('alter-egress');
  });
});

describe('alter env', () => {
  it('prints exports that a shell can take in', async () => {
    const { code, stdout } = await alter(['env'], { env });
    expect(code).toBe(0);
    const { stdout: seen } = await runProgram('sh', ['-c', `${stdout}\necho "$https_proxy $CURL_CA_BUNDLE"`]);
    expect(seen).toMatch(new RegExp(`^http://auto:${key}@127\\.0\\.0\\.1:3128 \\S+ca-bundle-[0-9a-f]+\\.pem\n$`));
    expect(stdout).not.toContain('ALTER_');
  });
});

describe('alter ca bundle', () => {
  it('prints the roots of the system with the CA, or writes them to a file', async () => {
    const printed = await alter(['ca', 'bundle'], { env });
    expect(printed.stdout.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(50);
    const out = join(directory, 'out.pem');
    expect(await alter(['ca', 'bundle', '--out', out], { env })).toMatchObject({ code: 0, stdout: '' });
    expect(readFileSync(out, 'utf8')).toBe(printed.stdout);
    expect(await alter(['ca', 'bundle', '--out', '/nonexistent/x'], { env })).toMatchObject({ code: 1 });
  });
});
