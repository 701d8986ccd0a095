import {
  duration,
  findJsonObject,
  integer,
  oneOf,
  type Parsed,
  parseAddressRanges,
  parseAge,
  parseAppKey,
  parseAuthorityCertificate,
  parseCertificates,
  parseCidrs,
  parseGateway,
  parseHostNames,
  parseHostsTable,
  parseImage,
  parseKmsUrl,
  parseKubernetesName,
  parseListen,
  parseNamespacedName,
  parseNoProxy,
  parsePath,
  parsePrivateKey,
  parseResources,
  parseRootKey,
  parseSentinelAuth,
  parseServiceName,
  parseStoreDurability,
  parseStoreUrl,
  parseWorkers,
  quote,
  word,
} from './setting-parsers.ts';

export interface Setting<T> {
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

export type Values<Table> = {
  readonly [K in keyof Table]: Table[K] extends Setting<infer T> & { readonly default: infer D }
    ? D extends null
      ? T | null
      : T
    : never;
};

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const maxTimeoutMs = 24 * 60 * 60 * 1000;

export const general = {
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

export const limits = {
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

export const timeouts = {
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

export const injector = {
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

function setting<T, const D extends string | null>(of: Setting<T> & { readonly default: D }) {
  return of;
}

function timeout(name: `ALTER_${string}`, text: string, doc: string) {
  return setting({ name, default: text, parse: duration({ minMs: 1, maxMs: maxTimeoutMs }), doc });
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
