import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { root } from '../support/source-files.ts';

export const chart = join(root, 'helm');
const tools = join(root, '.cache', 'chart-tools');

/** Written last by setup/chart-tools.mjs. */
export const hasChartTools = existsSync(join(tools, 'versions'));

/** What the tests look at; kubeconform checks the whole. */
export interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext: { readonly runAsUser: number };
  readonly restartPolicy?: string;
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
}

interface Probe {
  readonly httpGet: unknown;
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly defaultMode: number; readonly items: readonly unknown[] };
  readonly projected?: unknown;
}

export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container, ...Container[]];
  readonly volumes: readonly Volume[];
  readonly securityContext: { readonly runAsUser: number };
  readonly terminationGracePeriodSeconds: number;
  readonly topologySpreadConstraints: readonly { readonly topologyKey: string }[];
}

interface NetworkRule {
  readonly from?: readonly unknown[];
  readonly to?: readonly { readonly ipBlock?: { readonly except: readonly string[] } }[];
  readonly ports?: readonly unknown[];
}

/** The fields of every kind together; each kind has some of them. */
interface ObjectSpec extends PodSpec {
  readonly template: { readonly metadata: Metadata; readonly spec: PodSpec };
  readonly selector: Record<string, string> & { readonly matchLabels: Record<string, string> };
  readonly podSelector: { readonly matchLabels: Record<string, string> };
  readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly NetworkRule[];
  readonly egress: readonly NetworkRule[];
  readonly scaleTargetRef: { readonly kind: string; readonly name: string };
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly maxUnavailable: number;
}

interface Metadata {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec: ObjectSpec;
  readonly data: Record<string, string>;
  readonly automountServiceAccountToken?: boolean;
  readonly rules?: readonly RoleRule[];
  readonly webhooks?: readonly Webhook[];
}

interface RoleRule {
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Webhook {
  readonly failurePolicy: string;
  readonly matchConditions: readonly { readonly expression: string }[];
  readonly namespaceSelector: unknown;
  readonly clientConfig: {
    readonly service: { readonly name: string; readonly port: number; readonly path: string };
    readonly caBundle?: string;
  };
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  /** Both streams. */
  readonly said: string;
}

export function helm(words: readonly string[]): Outcome {
  return runTool('helm', words);
}

/** Checks manifests (`---` between them) against the schemas of the Kubernetes API, and refuses unknown fields. */
export function kubeconform(manifests: string): Outcome {
  const locations = [join(tools, 'schemas'), join(root, 'test', 'helm', 'schemas')];
  const words = locations.flatMap((path) => ['-schema-location', `${path}/{{.ResourceKind}}{{.KindSuffix}}.json`]);
  return runTool('kubeconform', ['-strict', '-summary', ...words, '-'], manifests);
}

function runTool(name: string, words: readonly string[], input = ''): Outcome {
  const { status, stdout, stderr } = spawnSync(join(tools, 'bin', name), words, {
    encoding: 'utf8',
    input,
    // No cluster, no repositories and no cache of a person's own.
    env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent', KUBECONFIG: '/nonexistent' },
  });
  return { code: status, stdout, said: `${stdout}${stderr}` };
}

/** The names of the values files in helm/ci, which stand for the ways to install it. */
export function ciFiles(): string[] {
  return readdirSync(join(chart, 'ci'));
}

export function template(words: readonly string[]): Outcome {
  return helm(['template', 'rel', chart, '--namespace', 'egress', ...words]);
}

export function render(words: readonly string[]): KubernetesObject[] {
  const { code, stdout, said } = template(words);
  if (code !== 0) throw new Error(said);
  return parseObjects(stdout);
}

export function parseObjects(manifests: string): KubernetesObject[] {
  return parseAllDocuments(manifests)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS() as KubernetesObject | null;
    })
    .filter((object) => object !== null);
}

export interface Pod {
  readonly owner: KubernetesObject;
  readonly component: string;
  readonly labels: Record<string, string>;
  readonly spec: PodSpec;
}

/** Of every object that makes pods, what its pods look like. */
export function podsOf(objects: readonly KubernetesObject[]): Pod[] {
  return objects.flatMap((owner) => {
    const pod = owner.kind === 'Pod' ? owner : (owner.spec as Partial<ObjectSpec> | undefined)?.template;
    if (pod?.spec.containers === undefined) return [];
    const labels = pod.metadata.labels ?? {};
    const [first, ...others] = pod.spec.containers;
    const spec = {
      ...pod.spec,
      volumes: pod.spec.volumes ?? [],
      containers: [whole(first), ...others.map(whole)] as const,
    };
    return [{ owner, component: labels['app.kubernetes.io/component'] ?? '', labels, spec }];
  });
}

export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []).map(whole), ...spec.containers];
}

function whole(container: Container): Container {
  return { ...{ args: [], env: [], ports: [], volumeMounts: [] }, ...container };
}

/** The value of a variable that a container must have. */
export function variable({ env }: Container, name: string): string {
  const value = env.find((one) => one.name === name)?.value;
  if (value === undefined) throw new Error(`No ${name} in the container.`);
  return value;
}
