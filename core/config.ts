import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { type AddressRange, findAddressRange } from './address.ts';
import { type AppKey, findAppKey } from './app-key.ts';
import { AlterError, type Problem } from './errors.ts';
import { findKmsLocation, type KmsLocation, kmsUrlForms } from './kms-location.ts';
import { isKubernetesName, isNoProxyEntry } from './kubernetes-name.ts';
import { parseHost } from './origin.ts';
import { findStoreDurability, readRedisUrl, redisUrlForms, type StoreDurability } from './store-location.ts';

/** What a parser makes of the text of a setting. A problem never quotes the value of a secret one. */
type Parsed<T> = { readonly value: T } | { readonly problem: string };

interface Setting<T> {
  /** The environment variable, and the key in the YAML file. */
  readonly name: `ALTER_${string}`;
  /** In the notation of the setting, so that the documentation shows what a user may write; null: there is none. */
  readonly default: string | null;
  readonly parse: (text: string) => Parsed<T>;
  /** One line for docs/config.md. */
  readonly doc: string;
  /** Its value must not be shown, logged or quoted. */
  readonly secret?: true;
}

type Values<Table> = {
  readonly [K in keyof Table]: Table[K] extends Setting<infer T> & { readonly default: infer D }
    ? D extends null
      ? T | null
      : T
    : never;
};

export interface ListenAddress {
  /** Without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export type StoreLocation =
  | { readonly kind: 'sqlite'; readonly path: string }
  /** As `readRedisUrl` reads it, with the ACL user and password in it. */
  | { readonly kind: 'redis'; readonly url: string };

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const maxTimeoutMs = 24 * 60 * 60 * 1000;

const general = {
  store: setting({
    name: 'ALTER_STORE_URL',
    default: 'sqlite:./.alter/alter.db',
    parse: parseStoreUrl,
    doc: 'Where the sealed state lives: `sqlite:PATH`, `redis://HOST:PORT/DB`, `redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB` or `redis+cluster://HOST:PORT,HOST:PORT`; with `rediss` instead of `redis` over TLS. ACL user and password stand in the URL (`redis://USER:PASSWORD@…`).',
    secret: true,
  }),
  storeCa: setting({
    name: 'ALTER_STORE_CA',
    default: null,
    parse: parseCertificates,
    doc: "PEM certificates of the authorities that the Redis servers' certificates come from, instead of the system's. Only with a `rediss` store.",
  }),
  storeCert: setting({
    name: 'ALTER_STORE_CERT',
    default: null,
    parse: parseCertificates,
    doc: 'PEM certificate, with its chain, to show to Redis servers that ask for one. Together with `ALTER_STORE_KEY`.',
  }),
  storeKey: setting({
    name: 'ALTER_STORE_KEY',
    default: null,
    parse: parsePrivateKey,
    doc: 'PEM private key of `ALTER_STORE_CERT`, unencrypted.',
    secret: true,
  }),
  storeSentinelAuth: setting({
    name: 'ALTER_STORE_SENTINEL_AUTH',
    default: null,
    parse: parseSentinelAuth,
    doc: '`PASSWORD` or `USER:PASSWORD` for the Sentinels themselves, where they ask for one.',
    secret: true,
  }),
  storeDurability: setting({
    name: 'ALTER_STORE_DURABILITY',
    default: 'server',
    parse: parseStoreDurability,
    doc: 'When a write to Redis counts as done: `server`, when the server says so, or `wait:N:MS`, when N replicas also have it within MS milliseconds (10 to 5000); otherwise it is refused as not durable.',
  }),
  rootKey: setting({
    name: 'ALTER_ROOT_KEY',
    default: null,
    parse: parseRootKey,
    doc: '32 random bytes in base64 (`openssl rand -base64 32`) that wrap the key of every app. Made on the first start of an embedded store; with Redis it must be given.',
    secret: true,
  }),
  rootKeyPrevious: setting({
    name: 'ALTER_ROOT_KEY_PREVIOUS',
    default: null,
    parse: parseRootKey,
    doc: 'While a root key is being replaced: another one that still opens what it wrapped, and wraps nothing. Until `alter root-key status` counts nothing under it.',
    secret: true,
  }),
  kms: setting({
    name: 'ALTER_KMS_URL',
    default: 'local:',
    parse: parseKmsUrl,
    doc: 'What wraps the key of every app: `local:` (ALTER_ROOT_KEY), `awskms://REGION/KEY-ID` or `awskms://REGION/alias/NAME` (AWS KMS; `?endpoint=https://…` for another address), or `vault+https://HOST:8200/transit/NAME` (the transit engine of HashiCorp Vault or OpenBao). With a service, there is no root key.',
  }),
  kmsPrevious: setting({
    name: 'ALTER_KMS_URL_PREVIOUS',
    default: null,
    parse: parseKmsUrl,
    doc: 'As `ALTER_ROOT_KEY_PREVIOUS`, where the keys of before were wrapped by a service.',
  }),
  kmsCa: setting({
    name: 'ALTER_KMS_CA',
    default: null,
    parse: parseCertificates,
    doc: "PEM certificates of the authorities that the certificate of the KMS may come from, instead of the system's.",
  }),
  kmsAwsAccessKeyId: setting({
    name: 'ALTER_KMS_AWS_ACCESS_KEY_ID',
    default: null,
    parse: word(/^\w{16,128}$/, 'an access key id, such as AKIAIOSFODNN7EXAMPLE'),
    doc: 'For AWS KMS, together with `ALTER_KMS_AWS_SECRET_ACCESS_KEY`; or a role, below.',
  }),
  kmsAwsSecretAccessKey: setting({
    name: 'ALTER_KMS_AWS_SECRET_ACCESS_KEY',
    default: null,
    parse: word(/^[\w+/=]{30,128}$/, 'a secret access key, of 40 characters'),
    doc: 'The secret of `ALTER_KMS_AWS_ACCESS_KEY_ID`.',
    secret: true,
  }),
  kmsAwsSessionToken: setting({
    name: 'ALTER_KMS_AWS_SESSION_TOKEN',
    default: null,
    parse: word(/^[\w+/=-]{16,4096}$/, 'a session token'),
    doc: 'Beside them, where they are temporary.',
    secret: true,
  }),
  kmsAwsRoleArn: setting({
    name: 'ALTER_KMS_AWS_ROLE_ARN',
    default: null,
    parse: word(
      /^arn:[\w-]+:iam::\d{12}:role\/[\w+=,.@/-]+$/,
      'the ARN of a role, such as arn:aws:iam::123456789012:role/alter',
    ),
    doc: 'For AWS KMS: a role that is taken with the token in `ALTER_KMS_AWS_WEB_IDENTITY_TOKEN_FILE`, as EKS mounts it.',
  }),
  kmsAwsTokenFile: setting({
    name: 'ALTER_KMS_AWS_WEB_IDENTITY_TOKEN_FILE',
    default: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
    parse: parsePath,
    doc: 'The path of that token, read when it is needed.',
  }),
  kmsTokenFile: setting({
    name: 'ALTER_KMS_TOKEN_FILE',
    default: null,
    parse: parsePath,
    doc: 'For Vault or OpenBao: the path of a file that holds a token, read when it is needed, so that an agent may renew it. Or a role, below.',
  }),
  kmsKubernetesRole: setting({
    name: 'ALTER_KMS_KUBERNETES_ROLE',
    default: null,
    parse: word(/^[\w.-]{1,128}$/, 'the name of a role'),
    doc: 'For Vault or OpenBao: the role of the auth method `kubernetes` that is taken with the token in `ALTER_KMS_KUBERNETES_TOKEN_FILE`.',
  }),
  kmsKubernetesTokenFile: setting({
    name: 'ALTER_KMS_KUBERNETES_TOKEN_FILE',
    default: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    parse: parsePath,
    doc: 'The path of that token, read when it is needed.',
  }),
  appKey: setting({
    name: 'ALTER_APP_KEY',
    default: null,
    parse: parseAppKey,
    doc: 'Instead of the root key, for a sidecar with `--role proxy` on a Redis store: the key of one app (`alter apps sidecar-credentials`). The process serves this app and can open nothing of any other.',
    secret: true,
  }),
  caCert: setting({
    name: 'ALTER_CA_CERT',
    default: null,
    parse: parseAuthorityCertificate,
    doc: 'PEM certificate of the authority that signs the certificates shown to workloads. Together with `ALTER_CA_KEY`, or not at all: then one is made on the first start and kept sealed in the store. P-256 is fastest, RSA works.',
  }),
  caKey: setting({
    name: 'ALTER_CA_KEY',
    default: null,
    parse: parsePrivateKey,
    doc: 'PEM private key of `ALTER_CA_CERT`, unencrypted.',
    secret: true,
  }),
  trustBundleFile: setting({
    name: 'ALTER_TRUST_BUNDLE_FILE',
    default: null,
    parse: parsePath,
    doc: "A file that a proxy writes before it is ready, for workloads that share a volume with it: its authority and the system's roots, as PEM, readable by all. This is the path itself, never a file that holds one.",
  }),
  workloadTokenFile: setting({
    name: 'ALTER_WORKLOAD_TOKEN_FILE',
    default: null,
    parse: parsePath,
    doc: "For a sidecar: the projected token of its pod's ServiceAccount. Connections that show no key are then those of the workload identity that this token proves, so the proxy must listen on loopback. This is the path itself, never a file that holds one.",
  }),
  proxyListen: setting({
    name: 'ALTER_PROXY_LISTEN',
    default: '127.0.0.1:3128',
    parse: parseListen,
    doc: 'Where workloads reach the proxy: `host:port` or `[::1]:port`. Port 0 takes any free one.',
  }),
  adminListen: setting({
    name: 'ALTER_ADMIN_LISTEN',
    default: '127.0.0.1:4180',
    parse: parseListen,
    doc: 'Where operators and the `alter` command reach the admin API.',
  }),
  opsListen: setting({
    name: 'ALTER_OPS_LISTEN',
    default: '127.0.0.1:9464',
    parse: parseListen,
    doc: 'Where `/livez`, `/readyz` and `/metrics` are.',
  }),
  adminHosts: setting({
    name: 'ALTER_ADMIN_HOSTS',
    default: '',
    parse: parseHostNames,
    doc: 'Host names, joined by commas, under which the admin API may be called besides its own address. Any other `Host` is refused, which stops DNS rebinding.',
  }),
  proxyTlsCert: setting({
    name: 'ALTER_PROXY_TLS_CERT',
    default: null,
    parse: parseCertificates,
    doc: 'PEM certificate, and behind it its chain, with which the proxy speaks TLS to workloads (`https://` in their proxy URL). Together with `ALTER_PROXY_TLS_KEY`, or not at all. As files (`…_FILE`), this, its key and the client authorities are read again on SIGHUP and every 30 s; new connections get what is there then.',
  }),
  proxyTlsKey: setting({
    name: 'ALTER_PROXY_TLS_KEY',
    default: null,
    parse: parsePrivateKey,
    doc: 'PEM private key of `ALTER_PROXY_TLS_CERT`, unencrypted.',
    secret: true,
  }),
  proxyTlsClientCa: setting({
    name: 'ALTER_PROXY_TLS_CLIENT_CA',
    default: null,
    parse: parseCertificates,
    doc: 'PEM certificates of authorities. Where given, a workload must show a certificate of one of them before the proxy reads anything; its key is asked for all the same.',
  }),
  adminTlsCert: setting({
    name: 'ALTER_ADMIN_TLS_CERT',
    default: null,
    parse: parseCertificates,
    doc: 'The same for the admin API, together with `ALTER_ADMIN_TLS_KEY`.',
  }),
  adminTlsKey: setting({
    name: 'ALTER_ADMIN_TLS_KEY',
    default: null,
    parse: parsePrivateKey,
    doc: 'PEM private key of `ALTER_ADMIN_TLS_CERT`, unencrypted.',
    secret: true,
  }),
  injectorTlsCert: setting({
    name: 'ALTER_INJECTOR_TLS_CERT',
    default: null,
    parse: parseCertificates,
    doc: 'PEM certificate of the injector, together with `ALTER_INJECTOR_TLS_KEY`, where cert-manager or somebody else makes it; read again like those above. Without it the injector makes its own.',
  }),
  injectorTlsKey: setting({
    name: 'ALTER_INJECTOR_TLS_KEY',
    default: null,
    parse: parsePrivateKey,
    doc: 'PEM private key of `ALTER_INJECTOR_TLS_CERT`, unencrypted.',
    secret: true,
  }),
  proxyProtocolFrom: setting({
    name: 'ALTER_PROXY_PROTOCOL_FROM',
    default: '',
    parse: parseCidrs,
    doc: 'Address ranges, joined by commas, of load balancers that begin each connection to the proxy with a PROXY protocol header (version 1 or 2). From them the header is a must; from anybody else it is no HTTP.',
  }),
  forwardedForFrom: setting({
    name: 'ALTER_FORWARDED_FOR_FROM',
    default: '',
    parse: parseCidrs,
    doc: 'Address ranges, joined by commas, of proxies in front whose `X-Forwarded-For` is believed, on a CONNECT and on a request in absolute form: the client is the rightmost address that is in none of these ranges. From anybody else the header means nothing.',
  }),
  egressMode: setting({
    name: 'ALTER_EGRESS_MODE',
    default: 'tunnel',
    parse: oneOf('tunnel', 'deny'),
    doc: '`tunnel` passes traffic that names no grant through untouched and without a credential; `deny` refuses it.',
  }),
  allowAddresses: setting({
    name: 'ALTER_ALLOW_ADDRESSES',
    default: '',
    parse: parseAddressRanges,
    doc: 'Address ranges, joined by commas and each with an optional port (`10.0.0.0/8`, `127.0.0.1:8443`, `[fd00::1]:443`), that may be dialled although they are private, loopback, link-local or reserved.',
  }),
  hosts: setting({
    name: 'ALTER_HOSTS',
    default: '',
    parse: parseHostsTable,
    doc: 'Names that resolve to a fixed address, as in a hosts file: `name=address,name=address`. The address must still be one that may be dialled.',
  }),
  upstreamCa: setting({
    name: 'ALTER_UPSTREAM_CA',
    default: null,
    parse: parseCertificates,
    doc: "PEM certificates of further authorities that upstreams' certificates may come from, besides the system's.",
  }),
  maxStalenessMs: setting({
    name: 'ALTER_MAX_STALENESS',
    default: '5s',
    parse: duration({ minMs: 0, maxMs: 30_000 }),
    doc: 'How long requests are served from memory without contact to the store, `0s` to `30s`. Afterwards they are refused.',
  }),
  audit: setting({
    name: 'ALTER_AUDIT',
    default: 'strict',
    parse: oneOf('strict', 'buffered'),
    doc: '`strict`: the record is durable before the credential leaves, or the request is refused. `buffered`: a crash may lose the records of the last 100 ms, and of the last `ALTER_MAX_STALENESS` while the store refuses them.',
  }),
  auditFile: setting({
    name: 'ALTER_AUDIT_FILE',
    default: null,
    parse: parsePath,
    doc: 'A file to which every audit event is appended as one line of JSON, in addition to the store. This is the path itself, never a file that holds one.',
  }),
  stateMarksFile: setting({
    name: 'ALTER_STATE_MARKS_FILE',
    default: null,
    parse: parsePath,
    doc: 'Where this machine keeps which state of the store it has seen, so that an older one is found after a restart too. Beside the embedded store unless set; with Redis only in memory unless set. This is the path itself, never a file that holds one.',
  }),
  auditMaxAgeMs: setting({
    name: 'ALTER_AUDIT_MAX_AGE',
    default: null,
    parse: parseAge,
    doc: 'How long audit events are kept, such as `90d`, in apps that say nothing of their own; without it, for good. The oldest are removed by the admin service, on record.',
  }),
  auditMaxEvents: setting({
    name: 'ALTER_AUDIT_MAX_EVENTS',
    default: null,
    parse: integer({ min: 1, max: 1_000_000_000 }),
    doc: 'How many audit events are kept of each app that says nothing of its own, about; without it, all.',
  }),
  workers: setting({
    name: 'ALTER_WORKERS',
    default: '1',
    parse: parseWorkers,
    doc: 'Processes that share the port of the proxy; `auto`: one for each processor. With `1` everything runs in one process.',
  }),
  logLevel: setting({
    name: 'ALTER_LOG_LEVEL',
    default: 'info',
    parse: oneOf(...logLevels),
    doc: `How much is logged: ${logLevels.map((level) => `\`${level}\``).join(', ')}.`,
  }),
};

const limits = {
  maxHeaderBytes: setting({
    name: 'ALTER_MAX_HEADER_BYTES',
    default: '16384',
    parse: integer({ min: 1_024, max: 1_048_576 }),
    doc: 'Bytes of the head of one request.',
  }),
  maxHeaders: setting({
    name: 'ALTER_MAX_HEADERS',
    default: '100',
    parse: integer({ min: 10, max: 2_000 }),
    doc: 'Header fields of one request.',
  }),
  maxConnections: setting({
    name: 'ALTER_MAX_CONNECTIONS',
    default: '10000',
    parse: integer({ min: 1, max: 1_000_000 }),
    doc: 'Connections from workloads that one process holds at a time. Fewer where the limit of open files (`ulimit -n`) does not allow two for each.',
  }),
  maxConnectionsPerKey: setting({
    name: 'ALTER_MAX_CONNECTIONS_PER_KEY',
    default: '1000',
    parse: integer({ min: 1, max: 1_000_000 }),
    doc: 'Of these, connections of one key.',
  }),
  maxKeyFailuresPerMinute: setting({
    name: 'ALTER_MAX_KEY_FAILURES_PER_MINUTE',
    default: '20',
    parse: integer({ min: 1, max: 1_000_000 }),
    doc: 'Keys that are wrong, from one address (of IPv6: one /64), until it is answered 429 unseen. Callers there whose key was right lately go on.',
  }),
  maxUpstreamConnectionsPerPool: setting({
    name: 'ALTER_MAX_UPSTREAM_CONNECTIONS_PER_POOL',
    default: '64',
    parse: integer({ min: 1, max: 10_000 }),
    doc: 'Connections to one upstream for one principal and grant; these are never shared with another.',
  }),
  maxSignedBodyBytes: setting({
    name: 'ALTER_MAX_SIGNED_BODY_BYTES',
    default: '1048576',
    parse: integer({ min: 16_384, max: 1_073_741_824 }),
    doc: 'Bytes of a body that is held in memory because an AWS signature needs its hash first, and of one chunk where a body is signed in chunks. Above it a body goes to S3 unsigned (`UNSIGNED-PAYLOAD`, over TLS) and is refused elsewhere.',
  }),
  maxSigningMemoryBytes: setting({
    name: 'ALTER_MAX_SIGNING_MEMORY_BYTES',
    default: '67108864',
    parse: integer({ min: 16_384, max: 68_719_476_736 }),
    doc: 'Bytes of all bodies together that one process holds for that reason. Beyond it requests are answered 503.',
  }),
};

const timeouts = {
  firstByteMs: timeout('ALTER_FIRST_BYTE_TIMEOUT', '10s', 'Until the first byte of a new connection or tunnel.'),
  tlsMs: timeout('ALTER_TLS_TIMEOUT', '10s', 'For the TLS handshake with a workload, and with an upstream.'),
  headerMs: timeout('ALTER_HEADER_TIMEOUT', '10s', 'From the first byte of the head of a request to its last.'),
  connectMs: timeout('ALTER_CONNECT_TIMEOUT', '10s', 'For resolving the name of an upstream and connecting to it.'),
  responseMs: timeout('ALTER_RESPONSE_TIMEOUT', '5m', 'From the end of a request to the head of its response.'),
  bodyIdleMs: timeout(
    'ALTER_BODY_IDLE_TIMEOUT',
    '60s',
    'While no byte of a body moves that a peer should send or read.',
  ),
  streamIdleMs: timeout('ALTER_STREAM_IDLE_TIMEOUT', '10m', 'While a response pauses, such as server-sent events.'),
  tunnelIdleMs: timeout('ALTER_TUNNEL_IDLE_TIMEOUT', '10m', 'While nothing moves in a tunnel that is passed through.'),
  drainMs: timeout('ALTER_DRAIN_TIMEOUT', '30s', 'From the signal to stop until requests that still run are cut.'),
};

const injector = {
  listen: setting({
    name: 'ALTER_INJECTOR_LISTEN',
    default: '127.0.0.1:9443',
    parse: parseListen,
    doc: 'Where the API server of Kubernetes reaches the injector, over TLS.',
  }),
  host: setting({
    name: 'ALTER_INJECTOR_HOST',
    default: null,
    parse: parseServiceName,
    doc: "The name of the injector's Service, `NAME.NAMESPACE.svc`, for which it makes its own certificate.",
  }),
  certificateSecret: setting({
    name: 'ALTER_INJECTOR_CERTIFICATE_SECRET',
    default: null,
    parse: parseNamespacedName,
    doc: 'The Secret, as `NAMESPACE/NAME`, in which the injectors share the authority of their own certificates. It must exist; empty is enough.',
  }),
  webhook: setting({
    name: 'ALTER_INJECTOR_WEBHOOK',
    default: null,
    parse: parseKubernetesName,
    doc: 'The MutatingWebhookConfiguration in which the injector keeps that authority (`caBundle`).',
  }),
  onProblem: setting({
    name: 'ALTER_INJECTOR_ON_PROBLEM',
    default: 'refuse',
    parse: oneOf('refuse', 'admit'),
    doc: 'A pod whose annotations are wrong is refused, or let in as it is, with a warning to whoever made it: `refuse` or `admit`.',
  }),
  mode: setting({
    name: 'ALTER_INJECTOR_MODE',
    default: 'sidecar',
    parse: oneOf('sidecar', 'gateway'),
    doc: 'What a pod gets that does not say: a proxy of its own, or the way to the gateway.',
  }),
  image: setting({
    name: 'ALTER_INJECTOR_IMAGE',
    default: null,
    parse: parseImage,
    doc: 'The image of what is added to pods.',
  }),
  imagePullPolicy: setting({
    name: 'ALTER_INJECTOR_IMAGE_PULL_POLICY',
    default: 'IfNotPresent',
    parse: oneOf('IfNotPresent', 'Always', 'Never'),
    doc: 'When it is pulled.',
  }),
  uid: setting({
    name: 'ALTER_INJECTOR_UID',
    default: '10128',
    parse: integer({ min: 1_000, max: 2_147_483_647 }),
    doc: 'User and group of what is added to pods. No container of a workload may run as it.',
  }),
  resources: setting({
    name: 'ALTER_INJECTOR_RESOURCES',
    default: '{"requests":{"cpu":"50m","memory":"128Mi"},"limits":{"memory":"256Mi"}}',
    parse: parseResources,
    doc: 'CPU and memory of a sidecar, in JSON as in a container.',
  }),
  sidecarSettings: setting({
    name: 'ALTER_INJECTOR_SIDECAR_SETTINGS',
    default: '{}',
    parse: parseSidecarSettings,
    doc: 'Settings that every sidecar gets, as a JSON object of names and texts: `{"ALTER_EGRESS_MODE":"deny"}`. No secret is taken.',
  }),
  gateway: setting({
    name: 'ALTER_INJECTOR_GATEWAY',
    default: null,
    parse: parseGateway,
    doc: 'The proxy that pods in gateway mode are sent to: `http://HOST:PORT` or `https://HOST:PORT`.',
  }),
  caConfigMap: setting({
    name: 'ALTER_INJECTOR_CA_CONFIG_MAP',
    default: 'alter-egress-ca',
    parse: parseKubernetesName,
    doc: "The ConfigMap with `ca.crt`, the gateway's authority, in the namespace of each pod in gateway mode.",
  }),
  noProxy: setting({
    name: 'ALTER_INJECTOR_NO_PROXY',
    default: 'localhost,127.0.0.1,::1,.svc,.cluster.local',
    parse: parseNoProxy,
    doc: 'What pods reach without the proxy: `NO_PROXY`.',
  }),
  lockImage: setting({
    name: 'ALTER_INJECTOR_LOCK_IMAGE',
    default: null,
    parse: parseImage,
    doc: 'An image with the program `nft`, for pods that ask to be locked so that only their proxy can leave them. Without it, such a pod is refused.',
  }),
};

export type Config = Values<typeof general> & {
  readonly limits: Values<typeof limits>;
  readonly timeouts: Values<typeof timeouts>;
  readonly injector: Values<typeof injector>;
};

/** What `alter serve --role injector` goes by. */
export type InjectorSettings = Config['injector'];

/** Every setting, by the section of the documentation that it stands in. */
export const settingSections: readonly { readonly title: string; readonly settings: readonly Setting<unknown>[] }[] = [
  { title: 'General', settings: Object.values(general) },
  { title: 'Limits', settings: Object.values(limits) },
  { title: 'Timeouts', settings: Object.values(timeouts) },
  { title: 'Injector', settings: Object.values(injector) },
];

const allSettings = settingSections.flatMap((section) => section.settings);

export const settingNames: readonly string[] = allSettings.map((one) => one.name);

/**
 * Settings that may also be given as `NAME_FILE`, the path of a file that holds the value. Not ALTER_AUDIT, whose
 * `_FILE` is a setting of its own, nor that one.
 */
export const fileSettingNames: readonly string[] = settingNames.filter(
  (name) => !settingNames.includes(`${name}_FILE`) && !name.endsWith('_FILE'),
);

/** Variables with our prefix that the `alter` command reads; the service passes them over. */
export const commandVariables: readonly string[] = [
  'ALTER_PAT',
  'ALTER_APP_ID',
  'ALTER_ADMIN_URL',
  'ALTER_KEY',
  'ALTER_CA_FILE',
  'ALTER_PROXY_URL',
];

/**
 * `values` by variable name, `…_FILE` already replaced by what the file holds; names without the prefix `ALTER_` are
 * passed over, so a whole environment will do. White space around a value does not count.
 *
 * Throws `config_invalid` with every problem, each under the name of its variable.
 */
export function parseConfig(values: Readonly<Record<string, string | undefined>>): Config {
  const problems: Problem[] = [];
  const known = new Set([...settingNames, ...commandVariables]);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || !name.startsWith('ALTER_') || known.has(name) || isServiceLink(name, value)) continue;
    const near = findNearest(name);
    problems.push({
      field: name,
      message: near === null ? 'is not a setting' : `is not a setting: did you mean ${near}?`,
    });
  }

  const config: Config = {
    ...parseTable(general, values, problems),
    limits: parseTable(limits, values, problems),
    timeouts: parseTable(timeouts, values, problems),
    injector: parseTable(injector, values, problems),
  };
  const broken = new Set(problems.map((problem) => problem.field));
  for (const problem of checkTogether(config)) if (!broken.has(problem.field)) problems.push(problem);

  if (problems.length > 0) {
    const names = [...new Set(problems.map((problem) => problem.field))];
    throw new AlterError('config_invalid', {
      detail: `The configuration is not valid: ${names.join(', ')}.`,
      problems,
    });
  }
  return hideSecrets(config);
}

/**
 * Kubernetes describes each Service of a namespace in the environment of its pods, and one that is called `alter-egress…`
 * in variables with our prefix: `ALTER_EGRESS_PROXY_PORT=tcp://10.0.0.1:3128`, `ALTER_EGRESS_PROXY_SERVICE_HOST=10.0.0.1`.
 * The value is looked at so that a mistake such as `ALTER_PROXY_PORT=3128` is still told.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/.test(name) ||
    /_PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)$/.test(name) ||
    (/_PORT(?:_\d+_(?:TCP|UDP|SCTP))?$/.test(name) && /^(?:tcp|udp|sctp):\/\//.test(value))
  );
}

function parseTable<Table extends Readonly<Record<string, Setting<unknown>>>>(
  table: Table,
  values: Readonly<Record<string, string | undefined>>,
  problems: Problem[],
): Values<Table> {
  const parsed: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(table)) {
    // An empty value is a mistake (a variable that was not filled in), except where empty means none.
    const text = values[one.name]?.trim() ?? one.default;
    if (text === null) {
      parsed[key] = null;
      continue;
    }
    const result: Parsed<unknown> =
      text === '' && one.default !== '' ? { problem: 'is empty: leave it out, or give it a value' } : one.parse(text);
    if ('value' in result) parsed[key] = result.value;
    else {
      parsed[key] = null;
      problems.push({ field: one.name, message: result.problem });
    }
  }
  return parsed as Values<Table>;
}

/** What no setting can tell by itself. A setting that did not parse is null here. */
function* checkTogether(config: Config): Iterable<Problem> {
  const { store, rootKey, appKey, caCert, caKey } = config;
  if (appKey !== null) yield* checkOneApp(config);
  else if (store?.kind === 'redis' && rootKey === null && config.kms?.kind === 'local')
    yield { field: 'ALTER_ROOT_KEY', message: 'must be given with a Redis store' };
  yield* checkStore(config);
  yield* checkKms(config);
  if (caCert !== null && caKey === null)
    yield { field: 'ALTER_CA_KEY', message: 'must be given together with ALTER_CA_CERT' };
  if (caKey !== null && caCert === null)
    yield { field: 'ALTER_CA_CERT', message: 'must be given together with ALTER_CA_KEY' };
  if (caCert !== null && caKey !== null && !new X509Certificate(caCert).checkPrivateKey(createPrivateKey(caKey)))
    yield { field: 'ALTER_CA_KEY', message: 'is not the key of ALTER_CA_CERT' };
  for (const [certificateKey, keyKey] of [
    ['proxyTlsCert', 'proxyTlsKey'],
    ['adminTlsCert', 'adminTlsKey'],
    ['injectorTlsCert', 'injectorTlsKey'],
  ] as const) {
    const [certificate, key] = [config[certificateKey], config[keyKey]];
    const [certificateName, keyName] = [general[certificateKey].name, general[keyKey].name];
    if (certificate !== null && key === null)
      yield { field: keyName, message: `must be given together with ${certificateName}` };
    if (key !== null && certificate === null)
      yield { field: certificateName, message: `must be given together with ${keyName}` };
    if (
      certificate !== null &&
      key !== null &&
      !new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
    )
      yield { field: keyName, message: `is not the key of ${certificateName}` };
  }
  const listensOn = (config.proxyListen as ListenAddress | null)?.host;
  if (config.workloadTokenFile !== null && !['127.0.0.1', '::1', 'localhost'].includes(listensOn ?? ''))
    yield {
      field: 'ALTER_WORKLOAD_TOKEN_FILE',
      message: 'needs ALTER_PROXY_LISTEN on loopback: everybody who reaches the proxy would be this workload',
    };
  if (config.proxyTlsClientCa !== null && config.proxyTlsCert === null)
    yield { field: 'ALTER_PROXY_TLS_CLIENT_CA', message: 'needs ALTER_PROXY_TLS_CERT' };
  const { maxSignedBodyBytes, maxSigningMemoryBytes } = config.limits;
  if (maxSigningMemoryBytes < maxSignedBodyBytes)
    yield { field: 'ALTER_MAX_SIGNING_MEMORY_BYTES', message: 'is less than ALTER_MAX_SIGNED_BODY_BYTES' };
  const taken = new Map<string, string>();
  for (const key of ['proxyListen', 'adminListen', 'opsListen'] as const) {
    const listen = config[key] as ListenAddress | null;
    if (listen === null || listen.port === 0) continue;
    const text = `${listen.host} ${listen.port}`;
    const other = taken.get(text);
    if (other === undefined) taken.set(text, general[key].name);
    else yield { field: general[key].name, message: `is the same address as ${other}` };
  }
}

function* checkKms(config: Config): Iterable<Problem> {
  const { kms, kmsPrevious, rootKey, rootKeyPrevious, appKey } = config;
  if (kms !== null && kms.kind !== 'local') {
    if (rootKey !== null)
      yield {
        field: 'ALTER_ROOT_KEY',
        message: 'is given together with ALTER_KMS_URL, which takes its place: give it as ALTER_ROOT_KEY_PREVIOUS',
      };
    if (appKey !== null)
      yield { field: 'ALTER_KMS_URL', message: 'is given together with ALTER_APP_KEY, which needs no KMS' };
  }
  if (rootKey !== null && rootKeyPrevious?.equals(rootKey))
    yield { field: 'ALTER_ROOT_KEY_PREVIOUS', message: 'is the same key as ALTER_ROOT_KEY' };
  if (kmsPrevious?.kind === 'local')
    yield { field: 'ALTER_KMS_URL_PREVIOUS', message: 'names a service; a root key goes into ALTER_ROOT_KEY_PREVIOUS' };
  const kinds = [kms?.kind, kmsPrevious?.kind];
  if (kinds.includes('aws')) {
    const { kmsAwsAccessKeyId: id, kmsAwsSecretAccessKey: secret, kmsAwsRoleArn: role } = config;
    if ((id === null) !== (secret === null))
      yield {
        field: id === null ? 'ALTER_KMS_AWS_ACCESS_KEY_ID' : 'ALTER_KMS_AWS_SECRET_ACCESS_KEY',
        message: 'is missing: the two belong together',
      };
    else if ((id === null) === (role === null))
      yield {
        field: 'ALTER_KMS_URL',
        message: 'names AWS KMS, which needs either ALTER_KMS_AWS_ACCESS_KEY_ID or ALTER_KMS_AWS_ROLE_ARN',
      };
  }
  if (kinds.includes('transit') && (config.kmsTokenFile === null) === (config.kmsKubernetesRole === null))
    yield {
      field: 'ALTER_KMS_URL',
      message: 'names a transit engine, which needs either ALTER_KMS_TOKEN_FILE or ALTER_KMS_KUBERNETES_ROLE',
    };
}

/** What a process needs that opens one app. */
function* checkOneApp({ store, rootKey, caCert, trustBundleFile }: Config): Iterable<Problem> {
  if (rootKey !== null)
    yield { field: 'ALTER_APP_KEY', message: 'is given together with ALTER_ROOT_KEY: give one of them' };
  if (store?.kind === 'sqlite')
    yield {
      field: 'ALTER_STORE_URL',
      message: 'must be a Redis store with ALTER_APP_KEY: an embedded one belongs to the process with its root key',
    };
  if (caCert === null && trustBundleFile === null)
    yield {
      field: 'ALTER_TRUST_BUNDLE_FILE',
      message:
        'must be given with ALTER_APP_KEY, unless ALTER_CA_CERT is: the process makes an authority of its own, which workloads have to trust',
    };
}

/** What is said about a Redis store must find one, or it is a mistake that would not be noticed. */
function* checkStore({
  store,
  storeCa,
  storeCert,
  storeKey,
  storeSentinelAuth,
  storeDurability,
}: Config): Iterable<Problem> {
  const url = store?.kind === 'redis' ? store.url.toLowerCase() : '';
  if (store !== null && !url.startsWith('rediss')) {
    const message = 'needs an ALTER_STORE_URL that begins with rediss';
    if (storeCa !== null) yield { field: 'ALTER_STORE_CA', message };
    if (storeCert !== null) yield { field: 'ALTER_STORE_CERT', message };
    if (storeKey !== null) yield { field: 'ALTER_STORE_KEY', message };
  }
  if (store !== null && !/^rediss?\+sentinel:/.test(url) && storeSentinelAuth !== null)
    yield { field: 'ALTER_STORE_SENTINEL_AUTH', message: 'needs an ALTER_STORE_URL that names Sentinels' };
  if (store?.kind === 'sqlite' && storeDurability !== 'server' && storeDurability !== null)
    yield { field: 'ALTER_STORE_DURABILITY', message: 'must be server with a SQLite store, which has no replicas' };
  if (storeCert !== null && storeKey === null)
    yield { field: 'ALTER_STORE_KEY', message: 'must be given together with ALTER_STORE_CERT' };
  if (storeKey !== null && storeCert === null)
    yield { field: 'ALTER_STORE_CERT', message: 'must be given together with ALTER_STORE_KEY' };
  if (
    storeCert !== null &&
    storeKey !== null &&
    !new X509Certificate(storeCert).checkPrivateKey(createPrivateKey(storeKey))
  )
    yield { field: 'ALTER_STORE_KEY', message: 'is not the key of ALTER_STORE_CERT' };
}

/** A configuration that is printed by accident shows no key and no password of a store. */
export function hideSecrets(config: Config): Config {
  const shown = (): Record<string, unknown> => {
    const copy: Record<string, unknown> = { ...config };
    for (const [key, one] of Object.entries(general)) if (one.secret && copy[key] !== null) copy[key] = '[secret]';
    return copy;
  };
  for (const printer of ['toJSON', Symbol.for('nodejs.util.inspect.custom')])
    Object.defineProperty(config, printer, { value: shown, enumerable: false });
  return config;
}

function setting<T, const D extends string | null>(of: Setting<T> & { readonly default: D }) {
  return of;
}

function timeout(name: `ALTER_${string}`, text: string, doc: string) {
  return setting({ name, default: text, parse: duration({ minMs: 1, maxMs: maxTimeoutMs }), doc });
}

function oneOf<const T extends string>(...choices: readonly T[]): (text: string) => Parsed<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    return value === undefined ? { problem: `must be one of ${choices.join(', ')}, not ${quote(text)}` } : { value };
  };
}

function integer({ min, max }: { min: number; max: number }): (text: string) => Parsed<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return { value };
    return { problem: `must be a whole number from ${min} to ${max}, not ${quote(text)}` };
  };
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `250ms`, `5s`, `10m`, `1h`; in milliseconds. */
function duration({ minMs, maxMs }: { minMs: number; maxMs: number }): (text: string) => Parsed<number> {
  return (text) => {
    const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text);
    if (match === null) return { problem: `must be a duration such as 250ms, 5s, 10m or 1h, not ${quote(text)}` };
    const value = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
    if (value >= minMs && value <= maxMs) return { value };
    return { problem: `must be from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, not ${quote(text)}` };
  };
}

/** `12h`, `90d`; in milliseconds. */
function parseAge(text: string): Parsed<number> {
  const match = /^(\d{1,5})(h|d)$/.exec(text);
  const value = match === null ? 0 : Number(match[1]) * (match[2] === 'h' ? 1 : 24) * unitMs.h;
  if (value > 0) return { value };
  return { problem: `must be an age such as 12h or 90d, not ${quote(text)}` };
}

function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const)
    if (ms > 0 && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  return ms === 0 ? '0s' : `${ms}ms`;
}

function parseStoreUrl(text: string): Parsed<StoreLocation> {
  if (/^sqlite:/i.test(text)) {
    const path = text.slice('sqlite:'.length);
    // `sqlite:///x` is relative in some programs and absolute in others, and a store in memory forgets revocations.
    if (path === '' || path.startsWith('//') || path.startsWith(':') || path.includes('\0'))
      return { problem: 'must be sqlite:PATH; a PATH is a file, such as sqlite:/var/lib/alter/alter.db' };
    return { value: { kind: 'sqlite', path } };
  }
  if (!/^rediss?(?:\+|:)/i.test(text)) return { problem: `must be sqlite:PATH, ${redisUrlForms}` };
  const read = readRedisUrl(text);
  return 'problems' in read ? { problem: read.problems.join('; ') } : { value: { kind: 'redis', url: text } };
}

function parseStoreDurability(text: string): Parsed<StoreDurability> {
  const value = findStoreDurability(text);
  return value === null
    ? {
        problem: `must be server or wait:N:MS, such as wait:1:500, with N from 1 and MS from 10 to 5000, not ${quote(text)}`,
      }
    : { value };
}

function parseSentinelAuth(text: string): Parsed<{ readonly username: string | null; readonly password: string }> {
  const colon = text.indexOf(':');
  const [username, password] = colon === -1 ? [null, text] : [text.slice(0, colon), text.slice(colon + 1)];
  return password === ''
    ? { problem: 'has a user without a password' }
    : { value: { username: username || null, password } };
}

function parseRootKey(text: string): Parsed<Buffer> {
  const value = Buffer.from(text, 'base64');
  if (value.length === 32 && value.toString('base64') === text) return { value };
  return { problem: 'must be 32 bytes in base64 (44 characters): make one with `openssl rand -base64 32`' };
}

function parseKmsUrl(text: string): Parsed<KmsLocation> {
  const value = findKmsLocation(text);
  return value === null ? { problem: `must be ${kmsUrlForms}` } : { value };
}

function word(form: RegExp, wanted: string): (text: string) => Parsed<string> {
  return (text) => (form.test(text) ? { value: text } : { problem: `must be ${wanted}` });
}

function parseAppKey(text: string): Parsed<AppKey> {
  const value = findAppKey(text);
  return value === null ? { problem: 'must be an app key as `alter apps sidecar-credentials` prints it' } : { value };
}

function parseListen(text: string): Parsed<ListenAddress> {
  const wanted = { problem: `must be host:port or [IPv6]:port with a port from 0 to 65535, not ${quote(text)}` };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null || Number(match[3]) > 65_535) return wanted;
  const [, ipv6, host = '', port] = match;
  if (ipv6 !== undefined) return isIPv6(ipv6) ? { value: { host: ipv6, port: Number(port) } } : wanted;
  const canonical = findHost(host);
  return canonical === null ? wanted : { value: { host: canonical.host, port: Number(port) } };
}

function parseHostNames(text: string): Parsed<readonly string[]> {
  const hosts: string[] = [];
  for (const item of splitList(text)) {
    const canonical = findHost(item);
    if (canonical === null) return { problem: `${quote(item)} is not a host name (without a port, joined by commas)` };
    hosts.push(canonical.host);
  }
  return { value: hosts };
}

function parseAddressRanges(text: string): Parsed<readonly AddressRange[]> {
  const ranges: AddressRange[] = [];
  for (const item of splitList(text)) {
    const range = findAddressRange(item);
    if (range === null)
      return { problem: `${quote(item)} is not an address range such as 10.0.0.0/8, 127.0.0.1:8443 or [fd00::1]:443` };
    ranges.push(range);
  }
  return { value: ranges };
}

/** Ranges of peers: a port would be that of the peer, which says nothing. */
function parseCidrs(text: string): Parsed<readonly AddressRange[]> {
  const parsed = parseAddressRanges(text);
  if ('value' in parsed && parsed.value.every((range) => range.port === null)) return parsed;
  return { problem: `${quote(text)} must be address ranges such as 10.0.0.0/8 or fd00::/8, joined by commas` };
}

function parseWorkers(text: string): Parsed<number | 'auto'> {
  if (text === 'auto') return { value: text };
  const parsed = integer({ min: 1, max: 256 })(text);
  return 'value' in parsed ? parsed : { problem: `${parsed.problem}; or auto` };
}

function parseHostsTable(text: string): Parsed<ReadonlyMap<string, string>> {
  const table = new Map<string, string>();
  for (const item of splitList(text)) {
    const [name = '', address = '', ...rest] = item.split('=');
    const canonical = findHost(name);
    if (
      rest.length > 0 ||
      canonical?.kind !== 'name' ||
      !(isIPv4(address) || (isIPv6(address) && !address.includes('%')))
    )
      return { problem: `${quote(item)} is not name=address, such as api.example.com=10.1.2.3` };
    if (table.has(canonical.host)) return { problem: `${quote(canonical.host)} is there twice` };
    table.set(canonical.host, address);
  }
  return { value: table };
}

function parseAuthorityCertificate(text: string): Parsed<string> {
  const certificates = findCertificates(text);
  if (certificates?.length !== 1) return { problem: 'must be one PEM certificate' };
  if (!certificates[0]!.ca) return { problem: 'is not the certificate of an authority (basicConstraints CA:TRUE)' };
  return { value: text };
}

function parseCertificates(text: string): Parsed<string> {
  return findCertificates(text) === null
    ? { problem: 'must be PEM certificates, one after the other' }
    : { value: text };
}

/** Null where the text holds no certificate, or one that can't be read. */
function findCertificates(pem: string): X509Certificate[] | null {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null || blocks.length !== pem.split('-----BEGIN').length - 1) return null;
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return null;
  }
}

function parsePrivateKey(text: string): Parsed<string> {
  try {
    const type = createPrivateKey(text).asymmetricKeyType;
    if (type === 'ec' || type === 'rsa') return { value: text };
    return { problem: 'must be an EC (P-256) or RSA key' };
  } catch {
    return { problem: 'must be an unencrypted private key in PEM' };
  }
}

function parsePath(text: string): Parsed<string> {
  return text.includes('\0') ? { problem: 'is not a path' } : { value: text };
}

/** A DNS subdomain, which is what Kubernetes wants of the names of its objects. */
function parseKubernetesName(text: string): Parsed<string> {
  return isKubernetesName(text)
    ? { value: text }
    : { problem: `${quote(text)} is not the name of a Kubernetes object` };
}

function parseNamespacedName(text: string): Parsed<{ readonly namespace: string; readonly name: string }> {
  const [namespace = '', name = '', ...rest] = text.split('/');
  if (rest.length === 0 && isKubernetesName(namespace) && isKubernetesName(name)) return { value: { namespace, name } };
  return { problem: `${quote(text)} is not NAMESPACE/NAME` };
}

function parseServiceName(text: string): Parsed<string> {
  const fits = /^[^.]+\.[^.]+\.svc$/.test(text) && isKubernetesName(text);
  return fits ? { value: text } : { problem: `${quote(text)} is not NAME.NAMESPACE.svc` };
}

function parseImage(text: string): Parsed<string> {
  return /^[A-Za-z0-9][\w.\-/:@]{0,1023}$/.test(text) ? { value: text } : { problem: `${quote(text)} is not an image` };
}

function parseNoProxy(text: string): Parsed<readonly string[]> {
  const entries = splitList(text);
  const wrong = entries.find((entry) => !isNoProxyEntry(entry));
  return wrong === undefined ? { value: entries } : { problem: `${quote(wrong)} is not a name, address or range` };
}

/** `parts` is all that a proxy URL may have: the key and the user belong to each workload. */
function parseGateway(text: string): Parsed<string> {
  const parts = /^https?:\/\/(?:\[[0-9a-f:]+\]|[a-z0-9.-]+):\d{1,5}$/.exec(text);
  return parts !== null && URL.canParse(text)
    ? { value: text }
    : { problem: 'must be http://HOST:PORT or https://HOST:PORT' };
}

type Quantities = Readonly<Record<string, Readonly<Record<string, string | number>>>>;

function parseResources(text: string): Parsed<Quantities> {
  const value = findJsonObject(text);
  const fits =
    value !== null &&
    Object.entries(value).every(
      ([kind, amounts]) =>
        (kind === 'requests' || kind === 'limits') &&
        isRecord(amounts) &&
        Object.values(amounts).every(
          (amount) => typeof amount === 'number' || (typeof amount === 'string' && /^\d[\w.]{0,30}$/.test(amount)),
        ),
    );
  return fits
    ? { value: value as Quantities }
    : { problem: 'must be JSON such as {"requests":{"cpu":"50m"},"limits":{"memory":"256Mi"}}' };
}

function parseSidecarSettings(text: string): Parsed<Readonly<Record<string, string>>> {
  const value = findJsonObject(text);
  if (value === null || !Object.values(value).every((one) => typeof one === 'string'))
    return { problem: 'must be a JSON object of names and texts' };
  const open = [general, limits, timeouts].flatMap((table) => Object.values(table as Record<string, Setting<unknown>>));
  const wrong = Object.keys(value).find((name) => !open.some((one) => one.name === name && one.secret !== true));
  if (wrong !== undefined) return { problem: `${quote(wrong)} is not a setting, or is a secret one` };
  return { value: value as Readonly<Record<string, string>> };
}

function findJsonObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function splitList(text: string): string[] {
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}

function findHost(text: string): ReturnType<typeof parseHost> | null {
  try {
    return parseHost(text);
  } catch {
    return null;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The setting whose name differs in few letters, or null. */
function findNearest(name: string): string | null {
  let nearest: { name: string; distance: number } | null = null;
  for (const candidate of settingNames) {
    const distance = editDistance(name.slice(0, 60), candidate);
    if (distance <= 4 && (nearest === null || distance < nearest.distance)) nearest = { name: candidate, distance };
  }
  return nearest?.name ?? null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
