import { createPrivateKey, X509Certificate } from 'node:crypto';
import { AlterError, type Problem } from './errors.ts';
import type { ListenAddress, Parsed } from './setting-parsers.ts';
import { general, injector, limits, type Setting, timeouts, type Values } from './setting-tables.ts';

export type { ListenAddress, StoreLocation } from './setting-parsers.ts';

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
