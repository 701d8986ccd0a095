import type { InjectorSettings } from '../core/config.ts';
import { type Order, prefix, readOrder, statusAnnotation } from './annotations.ts';
import type { Container, Pod } from './pod.ts';
import {
  bundlePath,
  lockContainer,
  names,
  ports,
  sidecarContainer,
  trustContainer,
  trustDirectory,
  volumeNames,
  volumesOf,
} from './sidecar.ts';
import { workloadEnv } from './workload-env.ts';

/** RFC 6902. */
export interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

export type Injection =
  | { readonly kind: 'untouched' }
  | { readonly kind: 'refused'; readonly problems: readonly string[] }
  | { readonly kind: 'patched'; readonly patch: readonly PatchOperation[]; readonly warnings: readonly string[] };

/** Pure. A pod that has been through here comes out as it is, whoever asks again. */
export function injectPod(pod: Pod, settings: InjectorSettings): Injection {
  const read = readOrder(pod, settings);
  if (read.kind === 'none') return { kind: 'untouched' };
  const { containers, initContainers = [], volumes = [] } = pod.spec;
  const ours = initContainers.filter(({ name }) => name === names.sidecar || name === names.trust);
  // The status alone proves nothing: anybody can write an annotation.
  if (pod.metadata.annotations?.[statusAnnotation] !== undefined && ours.length > 0) return { kind: 'untouched' };
  if (read.kind === 'wrong') return { kind: 'refused', problems: read.problems };

  const { order } = read;
  const problems = [...findProblems(pod, order, settings)];
  if (problems.length > 0) return { kind: 'refused', problems };

  const added = [
    ...(order.egressLock ? [lockContainer(settings)] : []),
    order.mode === 'sidecar' ? sidecarContainer(order, settings) : trustContainer(settings),
  ];
  const warnings: string[] = [];
  const equip = (container: Container, isInit: boolean): Container => {
    const chosen = order.containers?.includes(container.name) ?? !(isInit && container.restartPolicy === 'Always');
    if (!chosen) return container;
    const proxy = order.mode === 'sidecar' ? `http://127.0.0.1:${ports.proxy}` : settings.gateway!;
    const { env, kept } = workloadEnv(container, { order, proxy, bundle: bundlePath, noProxy: settings.noProxy });
    if (kept.length > 0)
      warnings.push(
        `Container ${container.name} keeps its own ${kept.join(', ')}; the annotation ${prefix}env: replace changes that.`,
      );
    const mount = { name: volumeNames.trust, mountPath: trustDirectory, readOnly: true };
    return { ...container, env, volumeMounts: [...(container.volumeMounts ?? []), mount] };
  };
  const add = (path: string, value: unknown): PatchOperation => ({ op: 'add', path, value });
  const equipped = containers.map((container) => equip(container, false));
  const patch = [
    add('/metadata/annotations/alter-egress~1status', `injected: ${order.mode}`),
    add('/spec/volumes', [...volumes, ...volumesOf(order, settings)]),
    add('/spec/initContainers', [...added, ...initContainers.map((container) => equip(container, true))]),
    ...equipped.flatMap((container, index) =>
      container === containers[index]
        ? []
        : [
            add(`/spec/containers/${index}/env`, container.env),
            add(`/spec/containers/${index}/volumeMounts`, container.volumeMounts),
          ],
    ),
  ];
  return { kind: 'patched', patch, warnings };
}

/** What would make the promises of the sidecar untrue, and what the settings of this injector do not allow for. */
function* findProblems(pod: Pod, order: Order, settings: InjectorSettings): Iterable<string> {
  const { spec } = pod;
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  if (spec.os?.name === 'windows') yield 'The pod runs on Windows, for which there is no proxy.';
  if (settings.image === null) yield 'The injector of this cluster has no image to inject (ALTER_INJECTOR_IMAGE).';
  const ownNames = Object.values(names) as readonly string[];
  for (const { name } of all)
    if (ownNames.includes(name)) yield `The pod has a container of its own that is called ${name}: rename it.`;
  const ownVolumes = Object.values(volumeNames) as readonly string[];
  for (const { name } of spec.volumes ?? [])
    if (ownVolumes.includes(name)) yield `The pod has a volume of its own that is called ${name}: rename it.`;
  for (const { name, volumeMounts = [] } of all)
    for (const mount of volumeMounts)
      if (ownVolumes.includes(mount.name) || covers(mount.mountPath))
        yield `Container ${name} mounts ${mount.mountPath}, where the trust bundle goes, or a volume of the injector.`;
  if (order.mode === 'gateway') {
    if (settings.gateway === null) yield 'There is no gateway in this cluster (ALTER_INJECTOR_GATEWAY): use a sidecar.';
    if (order.egressLock)
      yield `${prefix}egress-lock needs a sidecar; behind a gateway, a NetworkPolicy does its work.`;
    return;
  }
  if (spec.hostNetwork === true)
    yield 'The pod uses the network of its node (hostNetwork), where everybody could reach the sidecar: use the gateway.';
  if (spec.shareProcessNamespace === true || spec.hostPID === true)
    yield 'The containers of the pod see each other (shareProcessNamespace, hostPID), and so the sidecar: use the gateway.';
  for (const { name, ports: own = [], securityContext } of all) {
    for (const { containerPort } of own)
      if (containerPort === ports.proxy || containerPort === ports.ops)
        yield `Container ${name} listens on port ${containerPort}, which is the sidecar's.`;
    if ((securityContext?.runAsUser ?? spec.securityContext?.runAsUser) === settings.uid)
      yield `Container ${name} runs as user ${settings.uid}, which is the sidecar's.`;
  }
  if (!order.egressLock) return;
  if (settings.lockImage === null)
    yield `${prefix}egress-lock can't be had: the injector of this cluster has no image for it (ALTER_INJECTOR_LOCK_IMAGE).`;
  for (const { name, securityContext } of all) {
    const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
    const nonRoot = securityContext?.runAsNonRoot ?? spec.securityContext?.runAsNonRoot;
    // Root takes any user's number, and a set-user-id program makes root of anybody.
    if (!(nonRoot === true || (user !== undefined && user > 0)) || securityContext?.allowPrivilegeEscalation !== false)
      yield `${prefix}egress-lock holds only where container ${name} can't become the proxy's user: give it runAsNonRoot: true and allowPrivilegeEscalation: false.`;
  }
}

function covers(mountPath: string): boolean {
  const path = mountPath.replace(/\/+$/, '');
  return path === trustDirectory || path.startsWith(`${trustDirectory}/`);
}
