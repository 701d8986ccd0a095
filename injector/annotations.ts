import type { InjectorSettings } from '../core/config.ts';
import { isId } from '../core/id.ts';
import { isDataKey, isKubernetesName, isNoProxyEntry } from '../core/kubernetes-name.ts';
import type { Pod } from './pod.ts';

export const prefix = 'alter-egress/';
/** Written by the injector, and by nobody else. */
export const statusAnnotation = `${prefix}status`;

/** What the annotations of a pod ask for. */
export interface Order {
  readonly mode: InjectorSettings['mode'];
  /** The user name of the proxy URL: grant ids joined by commas, `auto` or `x`. */
  readonly grant: string;
  /** The Secret with ALTER_APP_KEY and ALTER_STORE_URL, for the sidecar. */
  readonly secret: string;
  /** Where the runtime key of the workload is; null where it has none and is known by the token of its pod. */
  readonly keySecret: { readonly name: string; readonly key: string } | null;
  /** The app whose workload identity the pod's token proves, by id. */
  readonly identity: string | null;
  readonly caEnv: boolean;
  /** What becomes of variables that a container has already. */
  readonly env: 'keep' | 'replace';
  /** The only containers that get variables; null: all of the workload's own. */
  readonly containers: readonly string[] | null;
  readonly noProxy: readonly string[];
  readonly egressLock: boolean;
}

export type ReadOrder =
  | { readonly kind: 'none' }
  | { readonly kind: 'order'; readonly order: Order }
  /** Each a sentence for whoever wrote the pod. */
  | { readonly kind: 'wrong'; readonly problems: readonly string[] };

const known = [
  'inject',
  'mode',
  'grant',
  'app',
  'secret',
  'key-secret',
  'identity',
  'ca-env',
  'env',
  'containers',
  'no-proxy',
  'egress-lock',
  'status',
] as const;
type Name = (typeof known)[number];

const maxListedGrants = 32;

/** An annotation that is not known is a mistake: a misspelt `egress-lock` must not leave a pod open. */
export function readOrder(pod: Pod, settings: InjectorSettings): ReadOrder {
  const given = new Map(Object.entries(pod.metadata.annotations ?? {}).filter(([name]) => name.startsWith(prefix)));
  const problems: string[] = [];
  const refuse = (name: string, message: string): void => void problems.push(`${prefix}${name} ${message}.`);
  const text = (name: Name): string | null => given.get(`${prefix}${name}`)?.trim() ?? null;
  const parse = <T>(name: Name, absent: T, wanted: string, find: (value: string) => T | null): T => {
    const value = text(name);
    if (value === null) return absent;
    const found = find(value);
    if (found === null) refuse(name, `must be ${wanted}, not ${JSON.stringify(value.slice(0, 60))}`);
    return found ?? absent;
  };
  const flag = (name: Name, absent: boolean): boolean =>
    parse(name, absent, '"true" or "false"', (value) => ({ true: true, false: false })[value] ?? null);

  const wanted = flag('inject', false);
  if (problems.length === 0 && !wanted) return { kind: 'none' };
  for (const name of given.keys())
    if (!known.some((one) => name === prefix + one))
      problems.push(`${name} is not an annotation of the injector: there are ${known.slice(0, -1).join(', ')}.`);

  const app = parse('app', 'default', 'the name of an app', (value) => (isKubernetesName(value) ? value : null));
  const keySecret = parse<Order['keySecret']>('key-secret', null, 'SECRET or SECRET/KEY', findKeySecret);
  const order = {
    mode: parse('mode', settings.mode, '"sidecar" or "gateway"', (value) => oneOf(value, ['sidecar', 'gateway'])),
    grant: parse('grant', 'auto', 'grant ids joined by commas, "auto" or "x"', findGrant),
    secret: parse('secret', `alter-egress-${app}`, 'the name of a Secret', (v) => (isKubernetesName(v) ? v : null)),
    keySecret,
    identity: parse('identity', null, 'the id of an app', (value) => (isId(value) ? value : null)),
    caEnv: flag('ca-env', true),
    env: parse('env', 'keep', '"keep" or "replace"', (value) => oneOf(value, ['keep', 'replace'])),
    containers: parse('containers', null, 'names of containers of the pod, joined by commas', (value) => {
      const names = splitList(value);
      const there = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ name }) => name);
      return names.length > 0 && names.every((name) => there.includes(name)) ? names : null;
    }),
    noProxy: parse('no-proxy', [], 'host names, addresses and ranges, joined by commas', (value) => {
      const entries = splitList(value);
      return entries.every(isNoProxyEntry) ? entries : null;
    }),
    egressLock: flag('egress-lock', false),
  } as const satisfies Order;
  const [hasKey, hasIdentity] = [text('key-secret') !== null, text('identity') !== null];
  if (hasKey && hasIdentity) refuse('identity', `and ${prefix}key-secret exclude each other: a key, or none`);
  if (!hasKey && !hasIdentity)
    refuse('key-secret', 'is missing: name the Secret that holds the runtime key of the workload (`alter keys mint`)');
  if (hasIdentity && order.mode === 'gateway')
    refuse(
      'identity',
      'needs a sidecar, which shows the token of the pod; a gateway is shown it by the workload itself',
    );
  return problems.length > 0 ? { kind: 'wrong', problems } : { kind: 'order', order };
}

function findKeySecret(value: string): Order['keySecret'] {
  const [name = '', key = 'key', ...rest] = value.split('/');
  return rest.length === 0 && isKubernetesName(name) && isDataKey(key) ? { name, key } : null;
}

function findGrant(value: string): string | null {
  if (value === 'auto' || value === 'x') return value;
  const ids = splitList(value);
  return ids.length > 0 && ids.length <= maxListedGrants && ids.every(isId) ? ids.join(',') : null;
}

function oneOf<const T extends string>(value: string, choices: readonly T[]): T | null {
  return choices.find((choice) => choice === value) ?? null;
}

function splitList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
