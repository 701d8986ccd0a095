import { bundleVariables, directVariables, proxyVariables } from '../core/workload-variables.ts';
import type { Order } from './annotations.ts';
import type { Container, EnvVar } from './pod.ts';

/** Not with our prefix for settings, and unlikely to be somebody's own. */
export const keyVariable = 'EGRESS_PROXY_KEY';

export interface WorkloadEnv {
  readonly env: readonly EnvVar[];
  /** Variables of the container that were left as they are, where ours would have gone. */
  readonly kept: readonly string[];
}

/**
 * The variables of a container with ours behind its own. What it has already stays, in both cases of a name, unless the
 * annotation says `replace`: who wrote the variable had a reason, and a proxy of somebody else is not silently put aside.
 * What `envFrom` brings is not seen here, and yields to `env`.
 */
export function workloadEnv(
  container: Container,
  {
    order,
    proxy,
    bundle,
    noProxy,
  }: {
    readonly order: Order;
    /** `http://127.0.0.1:3128`. */
    readonly proxy: string;
    /** Path of the PEM file in the container. */
    readonly bundle: string;
    readonly noProxy: readonly string[];
  },
): WorkloadEnv {
  const [scheme, authority] = proxy.split('://');
  // Without a key, the sidecar knows whose connections these are.
  const user = order.keySecret === null ? order.grant : `${order.grant}:$(${keyVariable})`;
  const url = `${scheme}://${user}@${authority}`;
  // Kubernetes fills $(NAME) in from what stands before it, so the key comes first.
  const { keySecret } = order;
  const key: readonly EnvVar[] =
    keySecret === null
      ? []
      : [{ name: keyVariable, valueFrom: { secretKeyRef: { name: keySecret.name, key: keySecret.key } } }];
  const groups: readonly (readonly EnvVar[])[] = [
    key,
    ...proxyVariables.map((names) => names.map((name) => ({ name, value: url }))),
    directVariables.map((name) => ({ name, value: [...noProxy, ...order.noProxy].join(',') })),
    [{ name: 'NODE_USE_ENV_PROXY', value: '1' }],
    ...(order.caEnv ? bundleVariables.map((name) => [{ name, value: bundle }]) : []),
  ];
  const own = container.env ?? [];
  const has = (group: readonly EnvVar[]): boolean => group.some(({ name }) => own.some((one) => one.name === name));
  const isOurs = (name: string): boolean => groups.some((group) => group.some((one) => one.name === name));
  // Another value under the name of the key would stand in our URL: this one is always ours.
  const free = groups.filter((group) => order.env === 'replace' || group === key || !has(group));
  const kept = own.filter(({ name }) => isOurs(name) && !free.flat().some((one) => one.name === name));
  const rest = own.filter(({ name }) => !free.flat().some((one) => one.name === name));
  return { env: [...rest, ...free.flat()], kept: kept.map(({ name }) => name) };
}
