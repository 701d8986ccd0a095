import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../certs/authority.ts';
import { Failure } from '../../cli/failure.ts';
import { formatTrustBundle, parseAuthorityPem, storeFile, systemRoots } from '../../cli/trust-bundle.ts';
import { formatExports, workloadEnvironment, workloadVariables } from '../../cli/workload-environment.ts';

const directory = mkdtempSync(join(tmpdir(), 'alter-bundle-'));
afterAll(() => rmSync(directory, { recursive: true }));

const settings = {
  proxyUrl: new URL('http://127.0.0.1:3128'),
  user: 'auto',
  key: 'KEY',
  bundlePath: '/cache/bundle.pem',
  javaOptions: null,
};

describe('the environment of a workload', () => {
  it('names the proxy and the bundle in every variable that clients read', () => {
    const variables = workloadVariables(settings, {});
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'])
      expect(variables[name]).toBe('http://auto:KEY@127.0.0.1:3128');
    for (const name of [
      'SSL_CERT_FILE',
      'REQUESTS_CA_BUNDLE',
      'CURL_CA_BUNDLE',
      'AWS_CA_BUNDLE',
      'GIT_SSL_CAINFO',
      'PIP_CERT',
      'CARGO_HTTP_CAINFO',
      'DENO_CERT',
      'NODE_EXTRA_CA_CERTS',
    ])
      expect(variables[name]).toBe('/cache/bundle.pem');
    expect(variables.NODE_USE_ENV_PROXY).toBe('1');
    expect(variables.JAVA_TOOL_OPTIONS).toBeUndefined();
  });

  it('writes the port of the proxy even where it is the default of its scheme, since clients have another', () => {
    for (const [url, proxy] of [
      ['http://proxy:80', 'http://auto:KEY@proxy:80'],
      ['https://proxy', 'https://auto:KEY@proxy:443'],
      ['http://[::1]:3128', 'http://auto:KEY@[::1]:3128'],
    ] as const)
      expect(workloadVariables({ ...settings, proxyUrl: new URL(url) }, {}).HTTPS_PROXY).toBe(proxy);
  });

  it('keeps what the user sends past proxies', () => {
    const variables = workloadVariables(settings, { NO_PROXY: 'db.local, 10.0.0.0/8', no_proxy: 'db.local,,x' });
    expect(variables.NO_PROXY).toBe('localhost,127.0.0.1,::1,db.local,10.0.0.0/8,x');
    expect(variables.no_proxy).toBe(variables.NO_PROXY);
  });

  it('holds nothing that begins with ALTER_, in any case', () => {
    const present = {
      PATH: '/bin',
      ALTER_PAT: 'a',
      ALTER_ROOT_KEY: 'b',
      alter_key: 'c',
      ALTERNATIVE: 'd',
      UNSET: undefined,
    };
    expect(workloadEnvironment(present, { A: 'b' })).toEqual({ PATH: '/bin', ALTERNATIVE: 'd', A: 'b' });
  });

  it('is printed so that a shell reads it back as it was', () => {
    const variables = { PLAIN: 'a', QUOTED: `it's "$HOME" \`id\` \\ \n end` };
    const script = `${formatExports(variables)}node -e 'process.stdout.write(JSON.stringify([process.env.PLAIN, process.env.QUOTED]))'`;
    expect(JSON.parse(execFileSync('sh', ['-c', script], { encoding: 'utf8' }))).toEqual(Object.values(variables));
  });
});

describe('the trust bundle', () => {
  it('holds the roots of the system and the authority of the proxy, each once', async () => {
    const { certificatePem } = await createAuthority({ now: Date.now() });
    const roots = await systemRoots();
    expect(roots.length).toBeGreaterThan(50);
    const bundle = formatTrustBundle(parseAuthorityPem(certificatePem, 'test'), [...roots, ...roots]);
    expect(bundle.startsWith(certificatePem.trim())).toBe(true);
    expect(bundle.match(/BEGIN CERTIFICATE/g)).toHaveLength(new Set(roots.map((root) => root.trim())).size + 1);
  });

  it('never takes a private key along', async () => {
    const { certificatePem, privateKeyPem } = await createAuthority({ now: Date.now() });
    expect(parseAuthorityPem(`${privateKeyPem}\n${certificatePem}`, 'test')).toBe(`${certificatePem.trim()}\n`);
  });

  it.each([
    ['nothing', ''],
    ['something else', 'hello'],
    ['a broken certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
  ])('is not made from %s', (_, text) => {
    expect(() => parseAuthorityPem(text, 'the file')).toThrow(Failure);
  });

  it('is not made from a certificate that is no authority', async () => {
    const { openAuthority } = await import('../../certs/authority.ts');
    const now = Date.now();
    const authority = openAuthority({ ...(await createAuthority({ now })), now });
    const leaf = authority.issueLeaf({ host: 'a.test', kind: 'name' }, now);
    const [first = ''] = /-----BEGIN[\s\S]+?END CERTIFICATE-----/.exec(leaf.chainPem) ?? [];
    expect(() => parseAuthorityPem(first, 'the file')).toThrow('no PEM certificate of an authority');
  });

  it('is stored in a directory that nobody else may enter, and only once', () => {
    const place = join(directory, 'cache', 'alter');
    const of = { directories: [place], name: 'ca-bundle', extension: 'pem', content: rootCertificates[0]! };
    const path = storeFile(of);
    expect(readFileSync(path, 'utf8')).toBe(rootCertificates[0]);
    expect(lstatSync(place).mode & 0o777).toBe(0o700);
    const { ino } = lstatSync(path);
    expect(storeFile(of)).toBe(path);
    expect(lstatSync(path).ino).toBe(ino);
  });

  it('is not stored where others could replace it', () => {
    const open = join(directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const linked = join(directory, 'linked');
    symlinkSync(open, linked);
    const of = { name: 'ca-bundle', extension: 'pem', content: 'x' };
    expect(() => storeFile({ ...of, directories: [open, linked, '/proc/nowhere'] })).toThrow(Failure);
    const sound = join(directory, 'sound');
    expect(storeFile({ ...of, directories: [open, sound] }).startsWith(sound)).toBe(true);
  });
});
