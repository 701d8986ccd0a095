import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type Config,
  commandVariables,
  fileSettingNames,
  parseConfig,
  settingNames,
  settingSections,
} from '../../core/config.ts';
import { AlterError } from '../../core/errors.ts';

/** Self-signed, P-256, CA:TRUE, good until 2126; and one that is no authority. */
const authority = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS+gAwIBAgIUEHxZlhiusS7VYjMiaqd77Hmh5dYwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdC1hdXRob3JpdHkwIBcNMjYxMTIxMTMyNjAxWhgPMjEy
NjEwMjgxMzI2MDFaMBkxFzAVBgNVBAMMDnRlc3QtYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEH4nck7zkKkaFSYUQVMaVUB6YsMJc1evmxHiaP6sz
pw8MAoO0xXCLWYkWzLCp/FUE/HILFDtpk5NogEDiZFUcw6NTMFEwHQYDVR0OBBYE
FBe/Bn2CTsB/aFAw2KkfAfkHNoacMB8GA1UdIwQYMBaAFBe/Bn2CTsB/aFAw2Kkf
AfkHNoacMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgQUgc9cM0
fXoxfOf0enpS7o52WLiYWhQjY5TN1Lrnxc8CIGqv/fnfyRM+0onCRIazHnZzRpDL
yQ21JqxCCkGW7frA
-----END CERTIFICATE-----`;
const authorityKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKBwr46gy4/2NPML5
SrYR6X7iEZPY0xDStQO/TWKOhPqhRANCAAQfidyTvOQqRoVJhRBUxpVQHpiwwlzV
6+bEeJo/qzOnDwwCg7TFcItZiRbMsKn8VQT8cgsUO2mTk2iAQOJkVRzD
-----END PRIVATE KEY-----`;
const leaf = `-----BEGIN CERTIFICATE-----
MIIBfTCCASKgAwIBAgIUeZyRcRw7AfagD5KPVSDtzwh+mHowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJdGVzdC1sZWFmMCAXDTI2MTEyMTEzMjYwMVoYDzIxMjYxMDI4
MTMyNjAxWjAUMRIwEAYDVQQDDAl0ZXN0LWxlYWYwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASHxLDt0AchVsM1YvbfRFD7dCQyRaQZkvuqgEmKeQzFrFfGNrElTwLA
UxJxdSFMIiWc70e9VNNiiu3gv2jb99f9o1AwTjAdBgNVHQ4EFgQUU4f/z/tCln8c
LCvp/1GMR6O7ta4wHwYDVR0jBBgwFoAUU4f/z/tCln8cLCvp/1GMR6O7ta4wDAYD
VR0TAQH/BAIwADAKBggqhkjOPQQDAgNJADBGAiEA9+Io7wC+gsXRpOSg3h7h3KYK
nfIAP1sLQA+rHHtNLKUCIQD2o8cICtJ+xvcJ6WC8b5z6P3LsGMGMZLUam4au/Xi5
rw==
-----END CERTIFICATE-----`;

function problemsOf(values: Record<string, string | undefined>): Record<string, string> {
  try {
    parseConfig(values);
  } catch (error) {
    expect(error).toBeInstanceOf(AlterError);
    expect((error as AlterError).code).toBe('config_invalid');
    return Object.fromEntries((error as AlterError).problems!.map((problem) => [problem.field, problem.message]));
  }
  return {};
}

const rootKey = randomBytes(32).toString('base64');

describe('a configuration', () => {
  it('is whole without any setting', () => {
    expect({ ...parseConfig({}) }).toEqual({
      store: { kind: 'sqlite', path: './.alter/alter.db' },
      storeCa: null,
      storeCert: null,
      storeKey: null,
      storeSentinelAuth: null,
      storeDurability: 'server',
      rootKey: null,
      rootKeyPrevious: null,
      kms: { kind: 'local' },
      kmsPrevious: null,
      kmsCa: null,
      kmsAwsAccessKeyId: null,
      kmsAwsSecretAccessKey: null,
      kmsAwsSessionToken: null,
      kmsAwsRoleArn: null,
      kmsAwsTokenFile: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
      kmsTokenFile: null,
      kmsKubernetesRole: null,
      kmsKubernetesTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      appKey: null,
      caCert: null,
      caKey: null,
      trustBundleFile: null,
      workloadTokenFile: null,
      proxyListen: { host: '127.0.0.1', port: 3128 },
      adminListen: { host: '127.0.0.1', port: 4180 },
      opsListen: { host: '127.0.0.1', port: 9464 },
      adminHosts: [],
      proxyTlsCert: null,
      proxyTlsKey: null,
      proxyTlsClientCa: null,
      adminTlsCert: null,
      adminTlsKey: null,
      injectorTlsCert: null,
      injectorTlsKey: null,
      proxyProtocolFrom: [],
      forwardedForFrom: [],
      egressMode: 'tunnel',
      allowAddresses: [],
      hosts: new Map(),
      upstreamCa: null,
      maxStalenessMs: 5_000,
      audit: 'strict',
      auditFile: null,
      stateMarksFile: null,
      auditMaxAgeMs: null,
      auditMaxEvents: null,
      workers: 1,
      logLevel: 'info',
      limits: {
        maxHeaderBytes: 16_384,
        maxHeaders: 100,
        maxConnections: 10_000,
        maxConnectionsPerKey: 1_000,
        maxKeyFailuresPerMinute: 20,
        maxUpstreamConnectionsPerPool: 64,
        maxSignedBodyBytes: 1_048_576,
        maxSigningMemoryBytes: 67_108_864,
      },
      timeouts: {
        firstByteMs: 10_000,
        tlsMs: 10_000,
        headerMs: 10_000,
        connectMs: 10_000,
        responseMs: 300_000,
        bodyIdleMs: 60_000,
        streamIdleMs: 600_000,
        tunnelIdleMs: 600_000,
        drainMs: 30_000,
      },
      injector: {
        listen: { host: '127.0.0.1', port: 9_443 },
        host: null,
        certificateSecret: null,
        webhook: null,
        onProblem: 'refuse',
        mode: 'sidecar',
        image: null,
        imagePullPolicy: 'IfNotPresent',
        uid: 10_128,
        resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '256Mi' } },
        sidecarSettings: {},
        gateway: null,
        caConfigMap: 'alter-egress-ca',
        noProxy: ['localhost', '127.0.0.1', '::1', '.svc', '.cluster.local'],
        lockImage: null,
      },
    } satisfies Config);
  });

  it.each<[string, string, (config: Config) => unknown, unknown]>([
    ['ALTER_STORE_URL', 'sqlite:/var/lib/a.db', (config) => config.store, { kind: 'sqlite', path: '/var/lib/a.db' }],
    [
      'ALTER_STORE_URL',
      'redis://u:p@h:6379/2',
      (config) => config.store,
      { kind: 'redis', url: 'redis://u:p@h:6379/2' },
    ],
    ['ALTER_STORE_URL', 'rediss://h', (config) => config.store, { kind: 'redis', url: 'rediss://h' }],
    ['ALTER_ROOT_KEY', rootKey, (config) => config.rootKey?.toString('base64'), rootKey],
    ['ALTER_ROOT_KEY', ` ${rootKey}\n`, (config) => config.rootKey?.toString('base64'), rootKey],
    ['ALTER_PROXY_LISTEN', '0.0.0.0:1', (config) => config.proxyListen, { host: '0.0.0.0', port: 1 }],
    ['ALTER_PROXY_LISTEN', '[::1]:3128', (config) => config.proxyListen, { host: '::1', port: 3_128 }],
    ['ALTER_PROXY_LISTEN', '[::]:0', (config) => config.proxyListen, { host: '::', port: 0 }],
    ['ALTER_ADMIN_LISTEN', 'LocalHost:65535', (config) => config.adminListen, { host: 'localhost', port: 65_535 }],
    [
      'ALTER_ADMIN_HOSTS',
      'Alter.example, admin.local',
      (config) => config.adminHosts,
      ['alter.example', 'admin.local'],
    ],
    ['ALTER_EGRESS_MODE', 'deny', (config) => config.egressMode, 'deny'],
    ['ALTER_ALLOW_ADDRESSES', '', (config) => config.allowAddresses, []],
    [
      ...(['ALTER_ALLOW_ADDRESSES', '10.0.0.0/8, [::1]:8443', (config: Config) => config.allowAddresses] as const),
      [
        { address: '10.0.0.0', prefix: 8, family: 'ipv4', port: null },
        { address: '::1', prefix: 128, family: 'ipv6', port: 8_443 },
      ],
    ],
    [
      'ALTER_HOSTS',
      'A.test=127.0.0.1,b.test=::1',
      (config) => [...config.hosts],
      [
        ['a.test', '127.0.0.1'],
        ['b.test', '::1'],
      ],
    ],
    ['ALTER_UPSTREAM_CA', `${authority}\n${leaf}`, (config) => config.upstreamCa, `${authority}\n${leaf}`],
    ['ALTER_MAX_STALENESS', '0s', (config) => config.maxStalenessMs, 0],
    ['ALTER_MAX_STALENESS', '30s', (config) => config.maxStalenessMs, 30_000],
    ['ALTER_MAX_STALENESS', '250ms', (config) => config.maxStalenessMs, 250],
    ['ALTER_AUDIT', 'buffered', (config) => config.audit, 'buffered'],
    ['ALTER_AUDIT_FILE', '/var/log/audit.jsonl', (config) => config.auditFile, '/var/log/audit.jsonl'],
    ['ALTER_STATE_MARKS_FILE', '/var/lib/marks', (config) => config.stateMarksFile, '/var/lib/marks'],
    ['ALTER_WORKERS', 'auto', (config) => config.workers, 'auto'],
    ['ALTER_WORKERS', '4', (config) => config.workers, 4],
    [
      'ALTER_PROXY_PROTOCOL_FROM',
      '10.0.0.0/8, fd00::/8',
      (config) => config.proxyProtocolFrom,
      [
        { address: '10.0.0.0', prefix: 8, family: 'ipv4', port: null },
        { address: 'fd00::', prefix: 8, family: 'ipv6', port: null },
      ],
    ],
    [
      'ALTER_FORWARDED_FOR_FROM',
      '192.0.2.1',
      (config) => config.forwardedForFrom,
      [{ address: '192.0.2.1', prefix: 32, family: 'ipv4', port: null }],
    ],
    ['ALTER_LOG_LEVEL', 'silent', (config) => config.logLevel, 'silent'],
    ['ALTER_MAX_HEADERS', '2000', (config) => config.limits.maxHeaders, 2_000],
    ['ALTER_RESPONSE_TIMEOUT', '1h', (config) => config.timeouts.responseMs, 3_600_000],
    ['ALTER_DRAIN_TIMEOUT', '10m', (config) => config.timeouts.drainMs, 600_000],
  ])('reads %s=%s', (name, text, pick, expected) => {
    expect(pick(parseConfig({ ALTER_ROOT_KEY: rootKey, [name]: text }))).toEqual(expected);
  });

  it.each<[string, string]>([
    ...[
      '',
      'alter.db',
      'sqlite:',
      'sqlite::memory:',
      'sqlite://x',
      'sqlite:///x',
      'redis://',
      'redis:h',
      'http://h',
      'redis://h/x',
      'redis://h/1?a=b',
      'redis://h:99999',
      'redis+sentinel://h',
    ].map((text): [string, string] => ['ALTER_STORE_URL', text]),
    ...[
      '',
      'x',
      'A'.repeat(44),
      rootKey.slice(0, -1),
      `${rootKey}A`,
      randomBytes(31).toString('base64'),
      randomBytes(33).toString('base64'),
      randomBytes(32).toString('hex'),
    ].map((text): [string, string] => ['ALTER_ROOT_KEY', text]),
    ...[
      '',
      '3128',
      ':3128',
      '127.0.0.1',
      '127.0.0.1:',
      '127.0.0.1:65536',
      '127.0.0.1:-1',
      '127.0.0.1:080',
      '::1:3128',
      '[::1]',
      '[::1:3128',
      '127.1:3128',
      '*:3128',
      'http://a:1',
      'a b:1',
      '[127.0.0.1]:1',
    ].map((text): [string, string] => ['ALTER_PROXY_LISTEN', text]),
    ...['a:443', '*.a.test', 'a,,b', 'http://a', 'a_b'].map((text): [string, string] => ['ALTER_ADMIN_HOSTS', text]),
    ...['', 'Tunnel', 'allow', 'tunnel,deny'].map((text): [string, string] => ['ALTER_EGRESS_MODE', text]),
    ...['10.0.0.0/33', 'localhost', '10.0.0.0/8,', ',', '10.0.0.0/8;::1'].map((text): [string, string] => [
      'ALTER_ALLOW_ADDRESSES',
      text,
    ]),
    ...[
      'a.test',
      'a.test=',
      '=127.0.0.1',
      'a.test=b.test',
      'a.test=127.1',
      'a=1.1.1.1=2',
      '127.0.0.1=127.0.0.2',
      'a.test=1.1.1.1,A.test=1.1.1.2',
      'a.test=fe80::1%lo',
    ].map((text): [string, string] => ['ALTER_HOSTS', text]),
    ...[
      '',
      'x',
      '/etc/ca.pem',
      authorityKey,
      authority.slice(0, 200),
      authority.replace('M', '!'),
      `${authority}\n${authorityKey}`,
    ].map((text): [string, string] => ['ALTER_UPSTREAM_CA', text]),
    ...['', '5', '5 s', '-1s', '31s', '1m', '1.5s', '5S', 's', '1d', 'Infinity', '99999999999999s'].map(
      (text): [string, string] => ['ALTER_MAX_STALENESS', text],
    ),
    ...['', '0', '257', 'AUTO', '1.5', '-1'].map((text): [string, string] => ['ALTER_WORKERS', text]),
    ...['10.0.0.0/8:80', '127.0.0.1:1', 'localhost', '*', 'all'].flatMap((text): [string, string][] => [
      ['ALTER_PROXY_PROTOCOL_FROM', text],
      ['ALTER_FORWARDED_FOR_FROM', text],
    ]),
    ...['', 'wait', 'wait:0:500', 'wait:1:9', 'wait:1:5001', 'wait:1', 'Server'].map((text): [string, string] => [
      'ALTER_STORE_DURABILITY',
      text,
    ]),
    ...['', 'on', 'none', 'STRICT'].map((text): [string, string] => ['ALTER_AUDIT', text]),
    ...['', '\0'].map((text): [string, string] => ['ALTER_AUDIT_FILE', text]),
    ...['', 'verbose', '30'].map((text): [string, string] => ['ALTER_LOG_LEVEL', text]),
    ...['', '0', '-1', '1023', '1048577', '1e4', '16k', '16384.5', '0x4000', 'NaN', '9'.repeat(40)].map(
      (text): [string, string] => ['ALTER_MAX_HEADER_BYTES', text],
    ),
    ...['0', '0s', '25h', '10'].map((text): [string, string] => ['ALTER_CONNECT_TIMEOUT', text]),
  ])('refuses %s=%s by its name', (name, text) => {
    expect(Object.keys(problemsOf({ [name]: text }))).toEqual([name]);
  });

  it('refuses what is said about a Redis store where there is none of that kind', () => {
    const root = { ALTER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64') };
    const pair = { ALTER_STORE_CERT: authority, ALTER_STORE_KEY: authorityKey };
    expect(Object.keys(problemsOf({ ALTER_STORE_DURABILITY: 'wait:1:500', ALTER_STORE_CA: authority }))).toEqual([
      'ALTER_STORE_CA',
      'ALTER_STORE_DURABILITY',
    ]);
    expect(
      Object.keys(problemsOf({ ...root, ...pair, ALTER_STORE_URL: 'redis://h', ALTER_STORE_SENTINEL_AUTH: 'p' })),
    ).toEqual(['ALTER_STORE_CERT', 'ALTER_STORE_KEY', 'ALTER_STORE_SENTINEL_AUTH']);
    expect(
      problemsOf({ ...root, ALTER_STORE_URL: 'redis+cluster://u:canary/x@a:1,b:0/3?x' }).ALTER_STORE_URL,
    ).not.toContain('canary');
    const config = parseConfig({
      ...root,
      ...pair,
      ALTER_STORE_URL: 'rediss+sentinel://u:p@[::1]:26379,b/main/2',
      ALTER_STORE_CA: authority,
      ALTER_STORE_SENTINEL_AUTH: 'p:q',
      ALTER_STORE_DURABILITY: 'wait:2:250',
    });
    expect([config.storeSentinelAuth, config.storeDurability]).toEqual([
      { username: 'p', password: 'q' },
      { replicas: 2, ms: 250 },
    ]);
  });

  it('names every problem at once', () => {
    const paths = settingNames.filter((name) => name.endsWith('_FILE')); // any text but one is a path
    const notPaths = Object.fromEntries(paths.map((name) => [name, '\0']));
    const values = Object.fromEntries(
      settingNames
        .filter((name) => !paths.includes(name))
        .map((name) => [name, name === 'ALTER_STORE_SENTINEL_AUTH' ? '?:' : '?']),
    );
    expect(Object.keys(problemsOf({ ...values, ...notPaths, ALTER_NOPE: 'x' })).sort()).toEqual(
      [...settingNames, 'ALTER_NOPE'].sort(),
    );
  });

  it('takes no setting that it does not know, and guesses what was meant', () => {
    expect(problemsOf({ ALTER_PROXY_LISTN: 'x' })).toEqual({
      ALTER_PROXY_LISTN: 'is not a setting: did you mean ALTER_PROXY_LISTEN?',
    });
    expect(problemsOf({ ALTER_EGRES_MODE: 'deny' }).ALTER_EGRES_MODE).toContain('ALTER_EGRESS_MODE');
    expect(problemsOf({ ALTER_SOMETHING_ELSE_ENTIRELY: '' })).toEqual({
      ALTER_SOMETHING_ELSE_ENTIRELY: 'is not a setting',
    });
    expect(Object.keys(problemsOf({ alter_audit: 'x', ALTER_: 'x' }))).toEqual(['ALTER_']);
  });

  it('passes over what is not its business', () => {
    const others = Object.fromEntries([...commandVariables, 'PATH', 'HOME', 'ALTERNATIVE'].map((name) => [name, 'x']));
    expect(problemsOf({ ...others, ALTER_UNKNOWN: undefined, ALTER_AUDIT: undefined })).toEqual({});
  });

  it('needs a root key with Redis', () => {
    expect(problemsOf({ ALTER_STORE_URL: 'redis://h' })).toEqual({
      ALTER_ROOT_KEY: 'must be given with a Redis store',
    });
  });

  it('needs both halves of an authority, and halves of one', () => {
    const { caCert, caKey } = parseConfig({ ALTER_CA_CERT: authority, ALTER_CA_KEY: authorityKey });
    expect([caCert, caKey]).toEqual([authority, authorityKey]);
    expect(Object.keys(problemsOf({ ALTER_CA_CERT: authority }))).toEqual(['ALTER_CA_KEY']);
    expect(Object.keys(problemsOf({ ALTER_CA_KEY: authorityKey }))).toEqual(['ALTER_CA_CERT']);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    expect(problemsOf({ ALTER_CA_CERT: authority, ALTER_CA_KEY: String(other) })).toEqual({
      ALTER_CA_KEY: 'is not the key of ALTER_CA_CERT',
    });
    expect(problemsOf({ ALTER_CA_CERT: leaf, ALTER_CA_KEY: authorityKey }).ALTER_CA_CERT).toContain('CA:TRUE');
    expect(Object.keys(problemsOf({ ALTER_CA_CERT: authority, ALTER_CA_KEY: 'x' }))).toEqual(['ALTER_CA_KEY']);
    const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(problemsOf({ ALTER_CA_CERT: authority, ALTER_CA_KEY: String(ed25519) }).ALTER_CA_KEY).toContain('P-256');
  });

  it.each(['PROXY', 'ADMIN'])('needs both halves of the certificate of the %s listener', (listener) => {
    const [cert, key] = [`ALTER_${listener}_TLS_CERT`, `ALTER_${listener}_TLS_KEY`] as const;
    expect(problemsOf({ [cert]: authority, [key]: authorityKey })).toEqual({});
    expect(Object.keys(problemsOf({ [cert]: authority }))).toEqual([key]);
    expect(Object.keys(problemsOf({ [key]: authorityKey }))).toEqual([cert]);
    expect(problemsOf({ [cert]: leaf, [key]: authorityKey })).toEqual({ [key]: `is not the key of ${cert}` });
  });

  it('asks workloads for certificates only where it has one itself', () => {
    expect(problemsOf({ ALTER_PROXY_TLS_CLIENT_CA: authority })).toEqual({
      ALTER_PROXY_TLS_CLIENT_CA: 'needs ALTER_PROXY_TLS_CERT',
    });
  });

  it('does not put two listeners on one address', () => {
    expect(problemsOf({ ALTER_ADMIN_LISTEN: '127.0.0.1:3128' })).toEqual({
      ALTER_ADMIN_LISTEN: 'is the same address as ALTER_PROXY_LISTEN',
    });
    const zero = '127.0.0.1:0';
    expect(problemsOf({ ALTER_PROXY_LISTEN: zero, ALTER_ADMIN_LISTEN: zero, ALTER_OPS_LISTEN: zero })).toEqual({});
  });

  it('never quotes the value of a secret setting', () => {
    for (const { name } of settingSections.flatMap((section) => section.settings).filter((one) => one.secret)) {
      try {
        parseConfig({ [name]: 'redis://user:hunter2@?' });
      } catch (error) {
        expect(inspect(error) + JSON.stringify((error as AlterError).problems)).not.toContain('hunter2');
        continue;
      }
      throw new Error(`${name} was accepted`);
    }
  });

  it('shows no key and no password when it is printed', () => {
    const config = parseConfig({
      ALTER_STORE_URL: 'redis://user:hunter2@h',
      ALTER_ROOT_KEY: rootKey,
      ALTER_CA_CERT: authority,
      ALTER_CA_KEY: authorityKey,
    });
    const printed = [
      inspect(config),
      JSON.stringify(config),
      `${inspect({ config }, { depth: 9, showHidden: true })}`,
    ].join('\n');
    expect(printed).not.toContain('hunter2');
    expect(printed).not.toContain(rootKey);
    expect(printed).not.toContain('PRIVATE KEY');
    expect(printed).not.toContain(inspect(config.rootKey).slice(8, 40));
    expect(printed).toContain('[secret]');
  });

  it('is read or refused, whatever the text, and nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...settingNames), fc.string({ unit: 'binary' })), (values) => {
        problemsOf(values);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the variables that Kubernetes makes of Services', () => {
  it('are passed over where a Service has a name that begins like our settings', () => {
    const links = {
      ALTER_EGRESS_PROXY_SERVICE_HOST: '10.0.0.1',
      ALTER_EGRESS_PROXY_SERVICE_PORT: '3128',
      ALTER_EGRESS_PROXY_SERVICE_PORT_PROXY: '3128',
      ALTER_EGRESS_PROXY_PORT: 'tcp://10.0.0.1:3128',
      ALTER_EGRESS_PROXY_PORT_3128_TCP: 'tcp://10.0.0.1:3128',
      ALTER_EGRESS_PROXY_PORT_3128_TCP_PROTO: 'tcp',
      ALTER_EGRESS_PROXY_PORT_3128_TCP_PORT: '3128',
      ALTER_EGRESS_PROXY_PORT_3128_TCP_ADDR: '10.0.0.1',
    };
    expect(() => parseConfig(links)).not.toThrow();
  });

  it('do not hide a port that somebody gave as a setting', () => {
    expect(() => parseConfig({ ALTER_PROXY_PORT: '3128' })).toThrow(AlterError);
  });
});

describe('the table of settings', () => {
  it('has a name and a line of documentation for each, once', () => {
    const all = settingSections.flatMap((section) => section.settings);
    expect(new Set(settingNames).size).toBe(all.length);
    for (const one of all) {
      expect(one.name).toMatch(/^ALTER_[A-Z_]+$/);
      expect(one.doc).toMatch(/^[^\n|]+\.$/);
      if (one.default !== null) expect(one.parse(one.default)).toHaveProperty('value');
    }
  });

  it('knows which settings may come from a file', () => {
    expect(settingNames.filter((name) => !fileSettingNames.includes(name))).toEqual([
      'ALTER_KMS_AWS_WEB_IDENTITY_TOKEN_FILE',
      'ALTER_KMS_TOKEN_FILE',
      'ALTER_KMS_KUBERNETES_TOKEN_FILE',
      'ALTER_TRUST_BUNDLE_FILE',
      'ALTER_WORKLOAD_TOKEN_FILE',
      'ALTER_AUDIT',
      'ALTER_AUDIT_FILE',
      'ALTER_STATE_MARKS_FILE',
    ]);
    for (const name of fileSettingNames) expect(commandVariables).not.toContain(`${name}_FILE`);
  });
});
