import type { InjectorSettings } from '../core/config.ts';
import { workloadAudience } from '../core/workload-identity.ts';
import type { Order } from './annotations.ts';
import type { Container, Volume, VolumeMount } from './pod.ts';

export const names = {
  sidecar: 'alter-egress',
  trust: 'alter-egress-trust',
  lock: 'alter-egress-lock',
} as const;

/** Volumes; no container of the workload may mount any but the first. */
export const volumeNames = {
  trust: 'alter-egress-trust',
  state: 'alter-egress-state',
  secret: 'alter-egress-secret',
  ca: 'alter-egress-ca',
  noToken: 'alter-egress-no-token',
  identity: 'alter-egress-identity',
} as const;

/** 9464 is where OpenTelemetry puts a workload's own metrics. */
export const ports = { proxy: 3128, ops: 19_464 } as const;
export const trustDirectory = '/alter-egress/trust';
export const bundlePath = `${trustDirectory}/bundle.crt`;
const stateDirectory = '/var/lib/alter';
const secretDirectory = '/run/secrets/alter-egress';
const identityDirectory = '/run/secrets/alter-egress-identity';
const caDirectory = '/etc/alter-egress';

/**
 * Where Kubernetes would mount the token of the pod's ServiceAccount into our containers as well. Its admission plugin
 * leaves a container alone that has something there already.
 */
const tokenDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
const noToken: VolumeMount = { name: volumeNames.noToken, mountPath: tokenDirectory, readOnly: true };

/** The proxy as a native sidecar: ready before the workload starts, stopped after it. Confined as in the chart. */
export function sidecarContainer(order: Order, settings: InjectorSettings): Container {
  const anywhere = settings.listen.host.includes(':') ? '[::]' : '0.0.0.0';
  const fixed = {
    ALTER_APP_KEY_FILE: `${secretDirectory}/ALTER_APP_KEY`,
    ALTER_STORE_URL_FILE: `${secretDirectory}/ALTER_STORE_URL`,
    ALTER_PROXY_LISTEN: `127.0.0.1:${ports.proxy}`,
    ALTER_OPS_LISTEN: `${anywhere}:${ports.ops}`,
    ALTER_TRUST_BUNDLE_FILE: bundlePath,
    ALTER_STATE_MARKS_FILE: `${stateDirectory}/state-marks.json`,
    ...(order.identity === null ? {} : { ALTER_WORKLOAD_TOKEN_FILE: `${identityDirectory}/token` }),
  };
  // When the sidecar is told to stop, the workload is gone, and with it its requests.
  const env = { ALTER_DRAIN_TIMEOUT: '5s', ...settings.sidecarSettings, ...fixed };
  return {
    name: names.sidecar,
    image: settings.image!,
    imagePullPolicy: settings.imagePullPolicy,
    restartPolicy: 'Always',
    args: ['serve', '--role', 'proxy'],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    ports: [{ name: 'alter-ops', containerPort: ports.ops }],
    startupProbe: { httpGet: { path: '/readyz', port: ports.ops }, periodSeconds: 1, failureThreshold: 60 },
    livenessProbe: { httpGet: { path: '/livez', port: ports.ops }, periodSeconds: 10, timeoutSeconds: 3 },
    readinessProbe: { httpGet: { path: '/readyz', port: ports.ops }, periodSeconds: 5, timeoutSeconds: 3 },
    resources: settings.resources,
    securityContext: confined(settings.uid),
    volumeMounts: [
      { name: volumeNames.state, mountPath: stateDirectory },
      { name: volumeNames.trust, mountPath: trustDirectory },
      { name: volumeNames.secret, mountPath: secretDirectory, readOnly: true },
      ...(order.identity === null
        ? []
        : [{ name: volumeNames.identity, mountPath: identityDirectory, readOnly: true }]),
      noToken,
    ],
  };
}

/** In gateway mode nobody in the pod knows the authority but its ConfigMap: this puts the public roots beside it. */
export function trustContainer(settings: InjectorSettings): Container {
  return {
    name: names.trust,
    image: settings.image!,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['ca', 'bundle', '--ca', `${caDirectory}/ca.crt`, '--out', bundlePath],
    resources: settings.resources,
    securityContext: confined(settings.uid),
    volumeMounts: [
      { name: volumeNames.ca, mountPath: caDirectory, readOnly: true },
      { name: volumeNames.trust, mountPath: trustDirectory },
      noToken,
    ],
  };
}

/**
 * Lets nothing leave the pod but what the proxy's user sends, and answers to whoever called in. One transaction for IPv4
 * and IPv6, written so that a second run changes nothing.
 */
export function lockContainer(settings: InjectorSettings): Container {
  return {
    name: names.lock,
    image: settings.lockImage!,
    imagePullPolicy: settings.imagePullPolicy,
    command: ['nft'],
    args: [lockRules(settings.uid)],
    resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { memory: '64Mi' } },
    securityContext: {
      runAsNonRoot: false,
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [noToken],
  };
}

export function lockRules(uid: number): string {
  return [
    'add table inet alter_egress',
    'delete table inet alter_egress',
    'add table inet alter_egress',
    'add chain inet alter_egress output { type filter hook output priority 0; policy drop; }',
    'add rule inet alter_egress output oif lo accept',
    `add rule inet alter_egress output meta skuid ${uid} accept`,
    'add rule inet alter_egress output ct state established,related accept',
    // IPv6 finds its neighbours in packets that belong to nobody.
    'add rule inet alter_egress output icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept',
    'add rule inet alter_egress output reject with icmpx admin-prohibited',
  ].join('; ');
}

/** Everything that a mode mounts. Modes of files are for all to read: only one container mounts them, and it is nobody's group. */
export function volumesOf(order: Order, settings: InjectorSettings): readonly Volume[] {
  const trust = { name: volumeNames.trust, emptyDir: { sizeLimit: '4Mi' } };
  const token = { name: volumeNames.noToken, emptyDir: { medium: 'Memory', sizeLimit: '4Ki' } };
  if (order.mode === 'gateway') {
    const items = [{ key: 'ca.crt', path: 'ca.crt' }];
    return [trust, token, { name: volumeNames.ca, configMap: { name: settings.caConfigMap, items } }] as const;
  }
  const items = ['ALTER_APP_KEY', 'ALTER_STORE_URL'].map((key) => ({ key, path: key }));
  return [
    trust,
    token,
    { name: volumeNames.state, emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
    { name: volumeNames.secret, secret: { secretName: order.secret, defaultMode: 0o444, items } },
    ...(order.identity === null ? [] : [identityVolume(order.identity)]),
  ] as const;
}

/** The kubelet replaces the token when a fifth of its life is left. It is worth nothing anywhere else. */
function identityVolume(appId: string): Volume {
  const serviceAccountToken = { audience: workloadAudience(appId), expirationSeconds: 3_600, path: 'token' };
  return { name: volumeNames.identity, projected: { defaultMode: 0o444, sources: [{ serviceAccountToken }] } };
}

function confined(uid: number) {
  return {
    runAsNonRoot: true,
    runAsUser: uid,
    runAsGroup: uid,
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  } as const;
}
