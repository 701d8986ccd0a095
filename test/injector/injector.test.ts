import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatAppKey } from '../../core/app-key.ts';
import { parseConfig } from '../../core/config.ts';
import { issueId } from '../../core/id.ts';
import { bundleVariables } from '../../core/workload-variables.ts';
import { openKubernetesApi } from '../../injector/kubernetes-api.ts';
import { ServingCertificate } from '../../injector/serving-certificate.ts';
import { type InjectorService, startInjectorService } from '../../serve/injector.ts';
import { loadConfig } from '../../serve/settings.ts';
import { createLog } from '../../telemetry/log.ts';
import { hasChartTools, kubeconform } from '../helm/rendered-chart.ts';
import { type AdmissionResponse, admissionReview, patched, post, type TestPod } from '../support/admission.ts';
import { FakeKubernetesApi } from '../support/fake-kubernetes-api.ts';
import { eventually } from '../support/in-parallel.ts';

const host = 'alter-egress-injector.egress.svc';
const secretPath = '/api/v1/namespaces/egress/secrets/alter-egress-injector';
const webhookPath = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/alter-egress';
const log = createLog({ level: 'silent' });

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly restartPolicy?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
}
interface Spec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly secret?: unknown }[];
}

const pod = (
  annotations: Readonly<Record<string, string>> = {},
  spec: Readonly<Record<string, unknown>> = {},
  metadata: Readonly<Record<string, unknown>> = {},
): TestPod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    generateName: 'checkout-7d4b9c-',
    namespace: 'team-a',
    ...metadata,
    annotations: {
      'alter-egress/inject': 'true',
      'alter-egress/key-secret': 'checkout-key',
      ...annotations,
    },
  },
  spec: { containers: [{ name: 'checkout', image: 'checkout:1' }], ...spec },
});

let api: FakeKubernetesApi;
let injector: InjectorService;
let gatewayOnly: InjectorService;

const start = (settings: Readonly<Record<string, string>> = {}, clock: () => number = Date.now) =>
  startInjectorService({
    config: parseConfig({
      ALTER_INJECTOR_LISTEN: '127.0.0.1:0',
      ALTER_OPS_LISTEN: '127.0.0.1:0',
      ALTER_INJECTOR_HOST: host,
      ALTER_INJECTOR_CERTIFICATE_SECRET: 'egress/alter-egress-injector',
      ALTER_INJECTOR_WEBHOOK: 'alter-egress',
      ALTER_INJECTOR_IMAGE: 'registry.example/alter-egress:0.1.0',
      ALTER_INJECTOR_GATEWAY: 'http://alter-egress-proxy.egress.svc:3128',
      ALTER_INJECTOR_LOCK_IMAGE: 'registry.example/nft:1',
      ALTER_INJECTOR_SIDECAR_SETTINGS: '{"ALTER_EGRESS_MODE":"deny","ALTER_DRAIN_TIMEOUT":"9s"}',
      ...settings,
    }),
    env: api.env,
    log,
    clock,
    serviceAccountDirectory: api.serviceAccountDirectory,
  });

const isReady = async ({ ops }: InjectorService): Promise<boolean> =>
  (await fetch(`http://${ops.host}:${ops.port}/readyz`)).status === 200;

const caBundles = (): string[] => {
  const { webhooks } = api.objects.get(webhookPath) as unknown as {
    webhooks: { clientConfig: { caBundle?: string } }[];
  };
  return webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'));
};

const emptyObjects = (): void => {
  api.put(secretPath, { metadata: { name: 'alter-egress-injector', namespace: 'egress' } });
  api.put(webhookPath, {
    metadata: { name: 'alter-egress' },
    webhooks: [
      { name: 'pods.alter-egress.dev', clientConfig: { service: {} } },
      { name: 'second.alter-egress.dev', clientConfig: { service: {}, caBundle: 'b2xk' } },
    ],
  });
};

const ask = async (review: unknown, at: InjectorService = injector): Promise<AdmissionResponse> => {
  const { status, body } = await post({
    port: at.address.port,
    ca: caBundles()[0]!,
    host,
    body: JSON.stringify(review),
  });
  if (status !== 200) throw new Error(body);
  const answer = JSON.parse(body) as { apiVersion: string; kind: string; response: AdmissionResponse };
  expect([answer.apiVersion, answer.kind]).toEqual(['admission.k8s.io/v1', 'AdmissionReview']);
  return answer.response;
};

/** The pod as the API server would store it, and what its maker is told. */
const inject = async (one: TestPod, over: Readonly<Record<string, unknown>> = {}, at?: InjectorService) => {
  const response = await ask(admissionReview(one, over), at);
  expect(response.allowed).toBe(true);
  const result = patched(one, response);
  return { response, pod: result, spec: result.spec as unknown as Spec };
};
const refusal = async (one: TestPod): Promise<string> => {
  const { allowed, status, patch } = await ask(admissionReview(one));
  expect([allowed, status?.code, patch]).toEqual([false, 422, undefined]);
  return status!.message;
};
const valueIn = (container: Container | undefined, name: string): string | undefined =>
  container?.env?.find((one) => one.name === name)?.value;

beforeAll(async () => {
  api = await FakeKubernetesApi.open();
  emptyObjects();
  injector = await start();
  await eventually(() => isReady(injector));
  gatewayOnly = await start({ ALTER_INJECTOR_ON_PROBLEM: 'admit', ALTER_INJECTOR_MODE: 'gateway' });
  await eventually(() => isReady(gatewayOnly));
});
afterAll(async () => {
  await injector?.close();
  await gatewayOnly?.close();
  api?.close();
});

describe('a pod that asks for a sidecar', () => {
  it('gets it first in the list, as a native sidecar that must be ready before anything else starts', async () => {
    const { spec, response } = await inject(pod({}, { initContainers: [{ name: 'migrate', image: 'checkout:1' }] }));
    expect(response.patchType).toBe('JSONPatch');
    expect(spec.initContainers?.map(({ name }) => name)).toEqual(['alter-egress', 'migrate']);
    expect(spec.initContainers?.[0]).toMatchObject({
      image: 'registry.example/alter-egress:0.1.0',
      restartPolicy: 'Always',
      args: ['serve', '--role', 'proxy'],
      startupProbe: { httpGet: { path: '/readyz', port: 19_464 } },
    });
    expect(spec.containers).toHaveLength(1);
  });

  it('shows its secrets, its state and its key to the sidecar alone, and the trust bundle to all', async () => {
    const { spec } = await inject(
      pod({ 'alter-egress/app': 'billing' }, { initContainers: [{ name: 'migrate', image: 'checkout:1' }] }),
    );
    const mounting = (name: string) =>
      [...spec.initContainers!, ...spec.containers]
        .filter(({ volumeMounts = [] }) => volumeMounts.some((mount) => mount.name === name))
        .map((container) => container.name);
    expect(mounting('alter-egress-secret')).toEqual(['alter-egress']);
    expect(mounting('alter-egress-state')).toEqual(['alter-egress']);
    expect(mounting('alter-egress-trust')).toEqual(['alter-egress', 'migrate', 'checkout']);
    expect(spec.volumes?.find(({ secret }) => secret !== undefined)?.secret).toEqual({
      secretName: 'alter-egress-billing',
      defaultMode: 0o444,
      items: ['ALTER_APP_KEY', 'ALTER_STORE_URL'].map((key) => ({ key, path: key })),
    });
    for (const { volumeMounts = [] } of [spec.initContainers![1]!, ...spec.containers])
      expect(volumeMounts).toEqual([{ name: 'alter-egress-trust', mountPath: '/alter-egress/trust', readOnly: true }]);
  });

  it('confines it like every container of the chart, and keeps the token of the ServiceAccount from it', async () => {
    const [sidecar] = (await inject(pod())).spec.initContainers!;
    expect(sidecar?.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 10_128,
      runAsGroup: 10_128,
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(sidecar?.volumeMounts).toContainEqual({
      name: 'alter-egress-no-token',
      mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
      readOnly: true,
    });
  });

  it('gives the sidecar settings that the service accepts, no secret among them, and no way to listen elsewhere', async () => {
    const [sidecar] = (await inject(pod())).spec.initContainers!;
    const directory = mkdtempSync(join(tmpdir(), 'alter-sidecar-'));
    try {
      writeFileSync(
        join(directory, 'ALTER_APP_KEY'),
        formatAppKey({ appId: issueId(Date.now()), key: Buffer.alloc(32, 7) }),
      );
      writeFileSync(join(directory, 'ALTER_STORE_URL'), 'rediss://sidecar:password@redis.example:6379/0');
      const env = sidecar!.env!.map(({ name, value = '' }) => [
        name,
        value.replace('/run/secrets/alter-egress', directory),
      ]);
      const config = await loadConfig(Object.fromEntries(env) as Record<string, string>, undefined);
      expect(config.proxyListen).toEqual({ host: '127.0.0.1', port: 3_128 });
      expect([config.egressMode, config.timeouts.drainMs, config.trustBundleFile]).toEqual([
        'deny',
        9_000,
        '/alter-egress/trust/bundle.crt',
      ]);
      const { mountPath } = sidecar!.volumeMounts!.find(({ name }) => name === 'alter-egress-state')!;
      expect(config.stateMarksFile).toBe(join(mountPath, 'state-marks.json'));
    } finally {
      rmSync(directory, { recursive: true });
    }
    expect(sidecar!.env!.filter(({ valueFrom }) => valueFrom !== undefined)).toEqual([]);
  });

  it('can do without a key: the sidecar alone gets a token of the pod, for the audience of the app', async () => {
    const { 'alter-egress/key-secret': _, ...annotations } = pod().metadata.annotations!;
    const appId = issueId(Date.now());
    const one = { ...pod(), metadata: { annotations: { ...annotations, 'alter-egress/identity': appId } } };
    const { spec } = await inject(one);
    const [container] = spec.containers;
    expect(valueIn(container, 'HTTPS_PROXY')).toBe('http://auto@127.0.0.1:3128');
    expect(container!.env!.map(({ name }) => name)).not.toContain('EGRESS_PROXY_KEY');
    expect(spec.volumes).toContainEqual({
      name: 'alter-egress-identity',
      projected: {
        defaultMode: 0o444,
        sources: [
          { serviceAccountToken: { audience: `alter-egress:${appId}`, expirationSeconds: 3_600, path: 'token' } },
        ],
      },
    });
    const mounting = [...spec.initContainers!, ...spec.containers].filter(({ volumeMounts = [] }) =>
      volumeMounts.some(({ name }) => name === 'alter-egress-identity'),
    );
    expect(mounting.map(({ name }) => name)).toEqual(['alter-egress']);
    expect(valueIn(spec.initContainers![0], 'ALTER_WORKLOAD_TOKEN_FILE')).toBe(
      `${mounting[0]!.volumeMounts!.find(({ name }) => name === 'alter-egress-identity')!.mountPath}/token`,
    );
    const gateway = { ...one.metadata.annotations, 'alter-egress/mode': 'gateway' };
    expect(await refusal({ ...one, metadata: { annotations: gateway } })).toContain('needs a sidecar');
    expect(await refusal(pod({ 'alter-egress/identity': appId }))).toContain('exclude each other');
  });

  it('finds the proxy and the bundle in the environment of every container, in both cases, the key before its use', async () => {
    const { spec } = await inject(
      pod(
        { 'alter-egress/no-proxy': 'db.team-a, 10.0.0.0/8', 'alter-egress/key-secret': 'keys/checkout' },
        {
          initContainers: [{ name: 'migrate', image: 'a' }],
          containers: [
            { name: 'a', image: 'a', env: [{ name: 'LOG', value: 'debug' }] },
            { name: 'b', image: 'b' },
          ],
        },
      ),
    );
    for (const container of [spec.initContainers![1]!, ...spec.containers]) {
      for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'])
        expect(valueIn(container, name)).toBe('http://auto:$(EGRESS_PROXY_KEY)@127.0.0.1:3128');
      for (const name of ['NO_PROXY', 'no_proxy'])
        expect(valueIn(container, name)).toBe('localhost,127.0.0.1,::1,.svc,.cluster.local,db.team-a,10.0.0.0/8');
      for (const name of bundleVariables) expect(valueIn(container, name)).toBe('/alter-egress/trust/bundle.crt');
      const names = container.env!.map(({ name }) => name);
      expect(names.indexOf('EGRESS_PROXY_KEY')).toBeLessThan(names.indexOf('HTTPS_PROXY'));
      expect(container.env).toContainEqual({
        name: 'EGRESS_PROXY_KEY',
        valueFrom: { secretKeyRef: { name: 'keys', key: 'checkout' } },
      });
    }
    expect(valueIn(spec.containers[0], 'LOG')).toBe('debug');
  });

  it('keeps variables that it had, in both cases, with a word about it, unless its annotation says otherwise', async () => {
    const env = [
      { name: 'HTTPS_PROXY', value: 'http://corporate:8080' },
      { name: 'SSL_CERT_FILE', value: '/own.crt' },
      { name: 'EGRESS_PROXY_KEY', value: 'not the key' },
    ];
    const spec = { containers: [{ name: 'a', image: 'a', env }] };
    const kept = await inject(pod({}, spec));
    const [container] = kept.spec.containers;
    expect([valueIn(container, 'HTTPS_PROXY'), valueIn(container, 'https_proxy')]).toEqual([
      'http://corporate:8080',
      undefined,
    ]);
    expect(valueIn(container, 'SSL_CERT_FILE')).toBe('/own.crt');
    expect(valueIn(container, 'HTTP_PROXY')).toContain('127.0.0.1');
    expect(container!.env!.filter(({ name }) => name === 'EGRESS_PROXY_KEY')).toEqual([
      expect.objectContaining({ valueFrom: expect.anything() }),
    ]);
    expect(kept.response.warnings?.join()).toContain('Container a keeps its own HTTPS_PROXY, SSL_CERT_FILE');

    const replaced = await inject(pod({ 'alter-egress/env': 'replace' }, spec));
    const names = replaced.spec.containers[0]!.env!.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(valueIn(replaced.spec.containers[0], 'HTTPS_PROXY')).toContain('127.0.0.1');
    expect(replaced.response.warnings).toBeUndefined();
  });

  it('may leave out the CA variables, name its grants, and say which containers get anything at all', async () => {
    const grants = '01890000-0000-7000-8000-000000000001,01890000-0000-7000-8000-000000000002';
    const { spec } = await inject(
      pod(
        { 'alter-egress/ca-env': 'false', 'alter-egress/grant': grants, 'alter-egress/containers': 'b' },
        {
          containers: [
            { name: 'a', image: 'a' },
            { name: 'b', image: 'b' },
          ],
        },
      ),
    );
    expect(spec.containers[0]).toEqual({ name: 'a', image: 'a' });
    expect(valueIn(spec.containers[1], 'HTTPS_PROXY')).toBe(`http://${grants}:$(EGRESS_PROXY_KEY)@127.0.0.1:3128`);
    expect(valueIn(spec.containers[1], 'SSL_CERT_FILE')).toBeUndefined();
  });

  it("leaves the sidecars of others without variables, which carry the pod's traffic themselves", async () => {
    const mesh = { name: 'istio-proxy', image: 'istio', restartPolicy: 'Always' };
    const { spec } = await inject(pod({}, { initContainers: [mesh, { name: 'migrate', image: 'a' }] }));
    expect(spec.initContainers?.[1]).toEqual(mesh);
    expect(valueIn(spec.initContainers?.[2], 'HTTPS_PROXY')).toBeDefined();
  });

  it('of a Job can end: what is added restarts always, and is no container that the Job waits for', async () => {
    const job = {
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'report', uid: '1', controller: true }],
    };
    const { spec } = await inject(pod({}, { restartPolicy: 'Never' }, job));
    expect(spec.containers.map(({ name }) => name)).toEqual(['checkout']);
    expect(spec.initContainers?.map(({ restartPolicy }) => restartPolicy)).toEqual(['Always']);
  });

  it('can be locked, so that only the user of the proxy leaves it', async () => {
    const confined = { runAsNonRoot: true, allowPrivilegeEscalation: false };
    const containers = [{ name: 'checkout', image: 'checkout:1', securityContext: confined }];
    const { spec } = await inject(pod({ 'alter-egress/egress-lock': 'true' }, { containers }));
    expect(spec.initContainers?.map(({ name }) => name)).toEqual(['alter-egress-lock', 'alter-egress']);
    expect(spec.initContainers?.[0]).toMatchObject({
      image: 'registry.example/nft:1',
      securityContext: { capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] }, readOnlyRootFilesystem: true },
    });
    for (const { name, securityContext } of spec.initContainers!.slice(1))
      expect([name, JSON.stringify(securityContext)]).toEqual([name, expect.not.stringContaining('NET_ADMIN')]);
    expect(await refusal(pod({ 'alter-egress/egress-lock': 'true' }))).toContain('container checkout');
  });
});

describe('a pod that asks for the way to the gateway', () => {
  it('gets variables and a bundle, and no secret but its own key', async () => {
    const { spec } = await inject(
      pod({ 'alter-egress/mode': 'gateway' }, { initContainers: [{ name: 'migrate', image: 'a' }] }),
    );
    expect(spec.initContainers?.map(({ name }) => name)).toEqual(['alter-egress-trust', 'migrate']);
    expect(spec.initContainers?.[0]?.args).toEqual([
      ...['ca', 'bundle', '--ca', '/etc/alter-egress/ca.crt', '--out', '/alter-egress/trust/bundle.crt'],
    ]);
    expect(JSON.stringify(spec.volumes)).not.toContain('secretName');
    const url = 'http://auto:$(EGRESS_PROXY_KEY)@alter-egress-proxy.egress.svc:3128';
    expect(valueIn(spec.containers[0], 'https_proxy')).toBe(url);
  });

  it('gets it without saying so, where the cluster is set up that way', async () => {
    const { spec } = await inject(pod(), {}, gatewayOnly);
    expect(spec.initContainers?.map(({ name }) => name)).toEqual(['alter-egress-trust']);
  });
});

describe('what the injector leaves as it is', () => {
  it.each([
    ['a pod without annotations', { ...pod(), metadata: { name: 'a' } }],
    ['a pod that says no', pod({ 'alter-egress/inject': 'false', 'alter-egress/egres-lock': 'true' })],
    ['a pod with annotations of others', { ...pod(), metadata: { annotations: { 'prometheus.io/scrape': 'true' } } }],
  ])('%s', async (_what, one) => {
    expect(await ask(admissionReview(one))).toEqual({ uid: expect.anything(), allowed: true });
  });

  it.each(['sidecar', 'gateway'])('a pod that it has been at already, in mode %s', async (mode) => {
    const first = await inject(pod({ 'alter-egress/mode': mode }));
    expect(first.response.patch).toBeDefined();
    expect(await ask(admissionReview(first.pod))).toEqual({ uid: expect.anything(), allowed: true });
  });

  it('a pod that is changed, a subresource, and an object of another kind', async () => {
    for (const over of [
      { operation: 'UPDATE' },
      { subResource: 'ephemeralcontainers' },
      { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } },
    ])
      expect(await ask(admissionReview(pod(), over))).toEqual({ uid: expect.anything(), allowed: true });
  });
});

describe('a dry run', () => {
  it('gets the same patch as any other, and asks nothing of the API server', async () => {
    const asked = api.requests.length;
    const [wet, dry] = [await inject(pod()), await inject(pod(), { dryRun: true })];
    expect(dry.response.patch).toBe(wet.response.patch);
    expect(api.requests.length).toBe(asked);
  });
});

describe('a pod whose annotations or form do not do', () => {
  const ports = [{ containerPort: 3_128 }];
  it.each<[string, TestPod, RegExp]>([
    ['a switch that is none', pod({ 'alter-egress/inject': 'yes' }), /alter-egress\/inject must be "true" or "false"/],
    ['an annotation that there is not', pod({ 'alter-egress/egres-lock': 'true' }), /egres-lock is not an annotation/],
    [
      'a mode that there is not',
      pod({ 'alter-egress/mode': 'both' }),
      /mode must be "sidecar" or "gateway", not "both"/,
    ],
    ['a grant that is none', pod({ 'alter-egress/grant': 'stripe$(X)' }), /grant must be grant ids/],
    ['a Secret that can not be one', pod({ 'alter-egress/key-secret': '../etc' }), /key-secret must be SECRET/],
    ['a container that is not there', pod({ 'alter-egress/containers': 'web' }), /containers must be names/],
    ['a range that is none', pod({ 'alter-egress/no-proxy': 'a b' }), /no-proxy must be host names/],
    [
      'a lock behind the gateway',
      pod({ 'alter-egress/mode': 'gateway', 'alter-egress/egress-lock': 'true' }),
      /NetworkPolicy/,
    ],
    ['the network of the node', pod({}, { hostNetwork: true }), /hostNetwork/],
    ['processes that see each other', pod({}, { shareProcessNamespace: true }), /shareProcessNamespace/],
    ['the user of the sidecar', pod({}, { securityContext: { runAsUser: 10_128 } }), /runs as user 10128/],
    ['the port of the sidecar', pod({}, { containers: [{ name: 'a', image: 'a', ports }] }), /listens on port 3128/],
    [
      'a container of our name',
      pod({}, { initContainers: [{ name: 'alter-egress', image: 'a' }] }),
      /called alter-egress/,
    ],
    [
      'a volume of our name',
      pod({}, { volumes: [{ name: 'alter-egress-secret', emptyDir: {} }] }),
      /volume of its own/,
    ],
    [
      "a mount of the sidecar's secret",
      pod(
        {},
        { containers: [{ name: 'a', image: 'a', volumeMounts: [{ name: 'alter-egress-secret', mountPath: '/x' }] }] },
      ),
      /Container a mounts \/x/,
    ],
    [
      'a mount over the trust bundle',
      pod(
        {},
        { containers: [{ name: 'a', image: 'a', volumeMounts: [{ name: 'v', mountPath: '/alter-egress/trust/' }] }] },
      ),
      /trust bundle/,
    ],
    ['another system', pod({}, { os: { name: 'windows' } }), /Windows/],
  ])('is refused with a word about it: %s', async (_what, one, message) => {
    expect(await refusal(one)).toMatch(message);
  });

  it('is refused where it does not say where its key is, and claims of the status do not help it', async () => {
    const { 'alter-egress/key-secret': _, ...rest } = pod().metadata.annotations!;
    const one = { ...pod(), metadata: { annotations: { ...rest, 'alter-egress/status': 'injected: sidecar' } } };
    expect(await refusal(one)).toMatch(/key-secret is missing/);
  });

  it('is let in as it is, with a warning, where the cluster is set up that way', async () => {
    const { allowed, patch, warnings } = await ask(admissionReview(pod({ 'alter-egress/mode': 'both' })), gatewayOnly);
    expect([allowed, patch]).toEqual([true, undefined]);
    expect(warnings?.join(' ')).toMatch(/must be "sidecar" or "gateway".*starts without a proxy/);
  });
});

describe('a body that is no review', () => {
  const send = (body: string | Buffer, over: object = {}) =>
    post({ port: injector.address.port, ca: caBundles()[0]!, host, body, ...over });
  const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;

  it.each<[string, string | Buffer, number, object]>([
    ['nothing', '', 400, {}],
    ['no JSON', '{"kind":', 400, {}],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400, {}],
    ['a list', '[]', 400, {}],
    ['another version', JSON.stringify({ ...admissionReview(pod()), apiVersion: 'admission.k8s.io/v1beta1' }), 400, {}],
    ['no uid', JSON.stringify(admissionReview(pod(), { uid: undefined })), 400, {}],
    ['no pod', JSON.stringify(admissionReview({ metadata: {}, spec: { containers: 'a' } })), 400, {}],
    ['a pod with no names', JSON.stringify(admissionReview({ metadata: {}, spec: { containers: [{}] } })), 400, {}],
    [
      'annotations of numbers',
      JSON.stringify(admissionReview({ ...pod(), metadata: { annotations: { a: 1 } } })),
      400,
      {},
    ],
    ['a hundred thousand levels', deep, 400, {}],
    ['another type', JSON.stringify(admissionReview(pod())), 415, { type: 'text/plain' }],
    ['another path', '{}', 404, { path: '/' }],
    ['another method', '', 405, { method: 'GET' }],
    ['five megabytes', Buffer.alloc(5 * 1024 * 1024, 0x20), 413, {}],
  ])('is answered by its status, and the next one is served: %s', async (_what, body, status, over) => {
    expect((await send(body, over)).status).toBe(status);
    expect((await inject(pod())).response.patch).toBeDefined();
  });
});

describe('the certificate of the injector', () => {
  it('is made by itself, shared by its replicas, and trusted by every webhook of the configuration', () => {
    expect(new Set(caBundles()).size).toBe(1);
    expect(caBundles()[0]).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(caBundles()[0]).not.toContain('PRIVATE KEY');
    expect(api.requests.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
    expect(new Set(api.requests.map((line) => line.split(' ')[1]))).toEqual(new Set([secretPath, webhookPath]));
  });

  it('is for the name of the Service alone', async () => {
    const ca = caBundles()[0]!;
    const other = post({ port: injector.address.port, ca, host: 'other.egress.svc', body: '{}' });
    await expect(other).rejects.toThrow(/altnames/);
  });

  it('is renewed days before its end, and its authority a year before, while both are trusted', async () => {
    emptyObjects();
    const made: string[] = [];
    const certificate = new ServingCertificate({
      api: openKubernetesApi({
        host: '127.0.0.1',
        port: Number(api.env.KUBERNETES_SERVICE_PORT),
        directory: api.serviceAccountDirectory,
      }),
      secret: { namespace: 'egress', name: 'alter-egress-injector' },
      webhook: 'alter-egress',
      host,
      onChange: ({ cert }) => made.push(cert),
    });
    const day = 24 * 3_600_000;
    const begin = Date.now();
    const counts: number[] = [];
    for (const days of [0, 3, 5, 5, 3_200, 3_300, 3_300, 3_301]) {
      await certificate.look(begin + days * day);
      expect(certificate.isReady(begin + days * day)).toBe(true);
      counts.push(made.length);
    }
    // At day 3,200 the leaf is long gone; at 3,300 its successor is too, so that the new authority serves at once.
    expect(counts).toEqual([1, 1, 2, 2, 3, 4, 4, 4]);
    expect(caBundles()[0]!.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(new Set(made).size).toBe(4);
  });

  it('is the one that was made first, where two replicas start at once', async () => {
    emptyObjects();
    const mine = api.objects.get(secretPath)!;
    api.beforeWrite = () => {
      api.beforeWrite = null;
      const { data } = theirs;
      api.put(secretPath, { ...mine, data });
    };
    const theirs = await (async () => {
      const other = await FakeKubernetesApi.open();
      other.put(secretPath, { metadata: { name: 'alter-egress-injector' } });
      other.put(webhookPath, { metadata: {}, webhooks: [] });
      const port = Number(other.env.KUBERNETES_SERVICE_PORT);
      await new ServingCertificate({
        api: openKubernetesApi({ host: '127.0.0.1', port, directory: other.serviceAccountDirectory }),
        secret: { namespace: 'egress', name: 'alter-egress-injector' },
        webhook: 'alter-egress',
        host,
        onChange: () => {},
      }).look(Date.now());
      const stored = other.objects.get(secretPath)!;
      other.close();
      return stored as { data: Record<string, string> } & typeof stored;
    })();
    const replica = await start();
    try {
      await eventually(() => isReady(replica));
      expect(caBundles()[0]).toBe(Buffer.from(theirs.data['ca.crt']!, 'base64').toString('utf8'));
      await ask(admissionReview(pod()), replica);
    } finally {
      await replica.close();
    }
  });

  it('is not there while the API server refuses, which readiness says', async () => {
    api.objects.delete(secretPath);
    const replica = await start();
    try {
      await eventually(() => api.requests.at(-1) === `GET ${secretPath}`);
      expect(await isReady(replica)).toBe(false);
      await expect(post({ port: replica.address.port, ca: caBundles()[0]!, host, body: '{}' })).rejects.toThrow();
    } finally {
      await replica.close();
    }
  });
});

(hasChartTools ? describe : describe.skip)('the pods that come out', () => {
  it.each([
    ['sidecar', {}],
    ['gateway', { 'alter-egress/mode': 'gateway' }],
  ])('are such as the API server knows, with no field that it does not: %s', async (_mode, annotations) => {
    const containers = [
      { name: 'a', image: 'a', env: [{ name: 'A', value: 'b' }] },
      { name: 'b', image: 'b' },
    ];
    const initContainers = [{ name: 'migrate', image: 'a' }];
    emptyObjects();
    const replica = await start();
    try {
      await eventually(() => isReady(replica));
      const one = pod(annotations, { initContainers, containers, volumes: [{ name: 'v', emptyDir: {} }] });
      const { pod: injected } = await inject(one, {}, replica);
      const { code, said } = kubeconform(JSON.stringify(injected));
      expect([said, code]).toEqual([expect.stringContaining('Valid: 1, Invalid: 0, Errors: 0'), 0]);
    } finally {
      await replica.close();
    }
  });
});
