import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../certs/authority.ts';
import { settingNames, settingSections } from '../../core/config.ts';
import { review } from '../../injector/admission.ts';
import { loadConfig } from '../../serve/settings.ts';
import { renderChartReadme, renderChartSchema } from '../../setup/chart-docs.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { admissionReview, patched, type TestPod } from '../support/admission.ts';
import { Rig, run, type StoredSecret } from '../support/rig.ts';
import { root } from '../support/source-files.ts';
import {
  chart,
  ciFiles,
  containersOf,
  hasChartTools,
  helm,
  type KubernetesObject,
  kubeconform,
  type Pod,
  parseObjects,
  podsOf,
  render,
  template,
  variable,
} from './rendered-chart.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const ci = (file: string): string[] => ['--values', join(chart, 'ci', file)];
const full = ci('full-values.yaml');
/** `npm test` says at its end what was left out, and how to get it. */
const describeWithHelm = hasChartTools ? describe : describe.skip;

describe('what is made from the sources', () => {
  it('is in helm/README.md as `npm run docs` writes it, with every value', () => {
    expect(read('helm/README.md')).toBe(renderChartReadme(read('helm/README.md'), read('helm/values.yaml')));
  });

  it('is in helm/values.schema.json as `npm run docs` writes it, with every setting that may be given', () => {
    expect(read('helm/values.schema.json')).toBe(renderChartSchema(read('helm/values.schema.json')));
  });

  it('has in the dashboard only metrics that there are', async () => {
    const metrics = await new Metrics({ processMetrics: true }).render();
    const used = read('helm/files/dashboard.json').match(/\b(?:alter|process)_[a-z_]+/g) ?? [];
    expect(used.length).toBeGreaterThan(10);
    for (const name of used) expect(metrics).toMatch(new RegExp(`^${name}[ {]`, 'm'));
  });

  it('has one version, which is that of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(read('helm/Chart.yaml')).toContain(`\nversion: ${version}\nappVersion: ${version}\n`);
  });
});

describe('the program of `helm test`', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let environment: Record<string, string>;
  const reach = (env: Record<string, string>) =>
    run(process.execPath, ['--input-type=module', '--eval', read('helm/files/reach.mjs')], env);

  beforeAll(async () => {
    rig = await Rig.open();
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    const keyFile = join(rig.directory, 'key');
    writeFileSync(keyFile, `${(await rig.mintKey()).key}\n`);
    environment = {
      PROXY_URL: `http://127.0.0.1:${rig.proxyPort}`,
      ADMIN_URL: rig.service.adminUrl!,
      REQUEST_URL: `https://${rig.authorityOf()}/health`,
      GRANT: secret.grantId,
      EXPECT_STATUS: '200',
      KEY_FILE: keyFile,
      CA_FILE: rig.caFile,
    };
  });
  afterAll(() => rig?.close());

  it('sees both listeners ask who is calling, and one request get its credential', async () => {
    const { code, stdout } = await reach(environment);
    expect([stdout.match(/^ok {4}/gm)?.length, code]).toEqual([3, 0]);
    expect(rig.sink().requests.at(-1)?.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
  });

  it('fails, and says which, where something does not answer or answers otherwise', async () => {
    const { code, stdout } = await reach({ ...environment, ADMIN_URL: 'http://127.0.0.1:9', EXPECT_STATUS: '204' });
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^ok {4} the proxy.*\nFAILED the admin API.*: ECONNREFUSED\nFAILED a request .*200, not 204/,
    );
  });
});

describeWithHelm.each(ciFiles())('the chart with %s', (file) => {
  let manifests: string;
  let objects: KubernetesObject[];
  let pods: Pod[];

  beforeAll(() => {
    const rendered = template(ci(file));
    if (rendered.code !== 0) throw new Error(rendered.said);
    manifests = rendered.stdout;
    objects = parseObjects(manifests);
    pods = podsOf(objects);
  });

  it('passes the linter without a warning', () => {
    const { code, said } = helm(['lint', '--strict', chart, ...ci(file)]);
    expect([said, code]).toEqual([expect.not.stringMatching(/\[(?:WARNING|ERROR)\]/), 0]);
  });

  it('renders objects that the Kubernetes API knows, with no field that it does not', () => {
    const { code, said } = kubeconform(manifests);
    expect([said, code]).toEqual([expect.stringContaining(`Valid: ${objects.length}, Invalid: 0, Errors: 0`), 0]);
  });

  it('runs every container as a user that is not root, who can change nothing and gain nothing', () => {
    expect(pods.length).toBeGreaterThan(0);
    for (const pod of pods) {
      expect(pod.spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const container of containersOf(pod)) {
        expect(container.securityContext).toEqual({
          runAsNonRoot: true,
          runAsUser: pod.spec.securityContext.runAsUser,
          runAsGroup: pod.spec.securityContext.runAsUser,
          allowPrivilegeEscalation: false,
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(container.securityContext.runAsUser).toBeGreaterThanOrEqual(1_000);
      }
    }
    const users = pods.map((pod) => pod.spec.securityContext.runAsUser);
    expect(new Set(users).size).toBe(users.length);
  });

  it('shares nothing with the node or between containers, and gives no pod but the injector a token, a role or links to services', () => {
    for (const { spec, component } of pods) {
      expect(spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
      for (const shared of ['shareProcessNamespace', 'hostNetwork', 'hostPID', 'hostIPC', 'hostUsers'])
        expect(spec).not.toHaveProperty(shared);
      for (const volume of spec.volumes) {
        expect(volume).not.toHaveProperty('hostPath');
        if (component !== 'injector') expect(volume).not.toHaveProperty('projected');
      }
    }
    for (const { kind, metadata, data, automountServiceAccountToken } of objects) {
      if (/^(?:Secret|(?:Cluster)?Role(?:Binding)?)$/.test(kind))
        expect(metadata.labels?.['app.kubernetes.io/component']).toBe('injector');
      if (kind === 'Secret') expect(data).toBeUndefined();
      if (kind === 'ServiceAccount') expect(automountServiceAccountToken).toBe(false);
    }
  });

  it('hands secrets over as files that one container can read, never in the environment', () => {
    const secretSettings = settingSections.flatMap(({ settings }) => settings.filter((one) => one.secret));
    expect(secretSettings.length).toBeGreaterThan(3);
    for (const pod of pods) {
      for (const container of containersOf(pod)) {
        expect(container).not.toHaveProperty('envFrom');
        for (const { name, value, valueFrom } of container.env) {
          expect(valueFrom).toBeUndefined();
          if (value === 'sqlite:/var/lib/alter/alter.db') continue; // a path, in a trial
          expect(secretSettings.map((one) => one.name)).not.toContain(name);
        }
      }
      for (const { name, secret } of pod.spec.volumes) {
        if (secret === undefined) continue;
        expect(secret.defaultMode).toBe(0o440);
        expect(secret.items.length).toBeGreaterThan(0);
        const readers = containersOf(pod).filter(({ volumeMounts }) =>
          volumeMounts.some((mount) => mount.name === name),
        );
        expect(readers).toHaveLength(1);
        if (pod.component === 'test') expect(name).toBe('key');
      }
    }
  });

  it('leaves the entry point of the image alone, which is what sets RLIMIT_CORE to 0', () => {
    for (const pod of pods.filter(({ component }) => component !== 'test'))
      for (const container of containersOf(pod)) {
        expect(container).not.toHaveProperty('command');
        expect(container.args[0]).toBe('serve');
      }
  });

  it('probes the ops port only, whose answers say nothing, and gives a pod more time to stop than it takes', () => {
    for (const pod of pods.filter(({ component }) => component !== 'test')) {
      const [container] = pod.spec.containers;
      for (const [probe, path] of [
        [container.startupProbe, '/readyz'],
        [container.livenessProbe, '/livez'],
        [container.readinessProbe, '/readyz'],
      ] as const)
        expect(probe?.httpGet).toEqual({ path, port: 'ops' });
      // The injector has nothing that takes longer than the five seconds that it gives itself.
      const drain = pod.component === 'injector' ? '5s' : variable(container, 'ALTER_DRAIN_TIMEOUT');
      const preStop = container.lifecycle?.preStop.sleep.seconds ?? 0;
      expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(Number.parseInt(drain, 10) + preStop);
    }
  });

  it('sends services, budgets, policies and monitors to pods that are there, on ports that they have', () => {
    const matches = (selector: Record<string, string>): Pod[] =>
      pods.filter(({ labels }) => Object.entries(selector).every(([name, value]) => labels[name] === value));
    const portsOf = (found: Pod[]) =>
      found.flatMap((pod) => pod.spec.containers.flatMap(({ ports }) => ports.map(({ name }) => name)));
    for (const { kind, metadata, spec, webhooks = [] } of objects) {
      for (const { clientConfig } of webhooks) {
        const { name, port, path } = clientConfig.service;
        const service = objects.find((object) => object.kind === 'Service' && object.metadata.name === name);
        expect([service?.spec.ports.map((one) => one.port), path]).toEqual([[port], '/inject']);
      }
      if (kind === 'Service')
        for (const { targetPort } of spec.ports) expect(portsOf(matches(spec.selector))).toContain(targetPort);
      const selector = { PodDisruptionBudget: spec?.selector, NetworkPolicy: spec?.podSelector }[kind];
      if (selector !== undefined)
        expect([metadata.name, matches(selector.matchLabels).length]).toEqual([metadata.name, 1]);
      if (kind === 'HorizontalPodAutoscaler')
        expect(pods.map(({ owner }) => `${owner.kind}/${owner.metadata.name}`)).toContain(
          `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`,
        );
    }
  });

  it('lets nobody in or out of a pod but by a rule that names peers or ports', () => {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
    const enabled = !read(`helm/ci/${file}`).includes('networkPolicy:\n  enabled: false');
    const components = pods.map(({ component }) => component).filter((component) => component !== 'test');
    expect(policies).toHaveLength(enabled ? components.length : 0);
    for (const { spec } of policies) {
      expect(spec.policyTypes).toEqual(['Ingress', 'Egress']);
      for (const rule of spec.ingress ?? []) {
        expect(rule.from?.length).toBeGreaterThan(0);
        expect(rule.ports?.length).toBeGreaterThan(0);
      }
      for (const rule of spec.egress) expect((rule.to ?? []).length + (rule.ports ?? []).length).toBeGreaterThan(0);
    }
  });

  it('gives workloads the certificate of the authority and nothing else', () => {
    const withKey = objects.filter((object) => JSON.stringify(object).includes('PRIVATE KEY'));
    expect(withKey).toEqual([]);
    for (const { metadata, data } of objects.filter(({ kind }) => kind === 'ConfigMap'))
      if (metadata.labels?.['app.kubernetes.io/component'] === 'ca') expect(Object.keys(data)).toEqual(['ca.crt']);
  });
});

describeWithHelm('the settings that the chart gives', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'alter-chart-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each(ciFiles())('are accepted by the service with %s', async (file) => {
    const authority = await createAuthority({ now: Date.now() });
    const contents: Readonly<Record<string, string>> = {
      'store/url': 'rediss://user:password@redis.example:6379/0',
      'root-key/root-key': Buffer.alloc(32, 1).toString('base64'),
      'ca/tls.crt': authority.certificatePem,
      'ca/tls.key': authority.privateKeyPem,
      'tls/tls.crt': authority.certificatePem,
      'tls/tls.key': authority.privateKeyPem,
      'client-ca/ca.crt': authority.certificatePem,
      'upstream/ca.crt': authority.certificatePem,
    };
    for (const [name, text] of Object.entries(contents)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    for (const pod of podsOf(render(ci(file))).filter(({ component }) => component !== 'test')) {
      const [container] = pod.spec.containers;
      const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
      const environment = Object.fromEntries(
        container.env.map(({ name, value = '' }) => {
          if (!name.endsWith('_FILE')) return [name, value];
          expect(mounts).toContain(dirname(value));
          return [name, value.replace('/run/secrets/alter', directory).replace('/etc', directory)];
        }),
      );
      const config = await loadConfig(environment, undefined);
      const hasRedis = !['trial', 'injector'].includes(pod.component);
      expect(config.store.kind).toBe(hasRedis ? 'redis' : 'sqlite');
      const { proxyListen: proxy, adminListen: admin, opsListen: ops } = config;
      const listens = { proxy, admin, ops, webhook: config.injector.listen };
      for (const { name, containerPort } of container.ports)
        expect(listens[name as keyof typeof listens].port).toBe(containerPort);
    }
  });
});

describeWithHelm('the values that can not be right', () => {
  it.each([
    ['an unknown value', 'replicas=3', 'replicas'],
    ['a misspelt value', 'proxy.replica=3', 'replica'],
    ['a security context', 'proxy.securityContext={"runAsUser":0}', 'securityContext'],
    ['root as user', 'proxy.uid=0', 'uid'],
    ['a user of the system', 'admin.uid=33', 'uid'],
    ['a text for a number', 'proxy.replicas="two"', 'replicas'],
    ['a text for a switch', 'trial.enabled="yes"', 'enabled'],
    ['a port that is none', 'proxy.service.port=70000', 'port'],
    ['no Secret with the root key', 'rootKey.existingSecret=""', 'existingSecret'],
    ['the root key itself', 'rootKey.value="AAAA"', 'value'],
    ['the URL of the store itself', 'store.url="redis://x"', 'url'],
    [
      'a private key as certificate',
      'ca.certificate="-----BEGIN PRIVATE KEY-----\\nAA\\n-----END PRIVATE KEY-----"',
      'certificate',
    ],
    ['a secret among the settings', 'settings={"ALTER_ROOT_KEY":"AAAA"}', 'settings'],
    ['a setting that the chart gives', 'settings={"ALTER_PROXY_LISTEN":"0.0.0.0:1"}', 'settings'],
    ['a file of marks elsewhere', 'settings={"ALTER_STATE_MARKS_FILE":"/tmp/marks"}', 'settings'],
    ['a setting that there is not', 'settings={"ALTER_EGRES_MODE":"deny"}', 'settings'],
    ['a secret in the environment', 'proxy.extraEnv=[{"name":"ALTER_CA_KEY","value":"x"}]', 'extraEnv'],
    ['the file of a secret twice', 'proxy.extraEnv=[{"name":"ALTER_ROOT_KEY_FILE","value":"x"}]', 'extraEnv'],
    ['a digest that is none', 'image.digest="sha256:12"', 'digest'],
    ['a pull policy that is none', 'image.pullPolicy="Sometimes"', 'pullPolicy'],
    ['an address that is not for listening', 'listenHost="localhost"', 'listenHost'],
    ['a Service of an unknown type', 'proxy.service.type="Ingress"', 'type'],
    ['a CPU aim above what there is', 'proxy.autoscaling.targetCPUUtilizationPercentage=150', 'targetCPU'],
    ['a budget beyond all pods', 'proxy.podDisruptionBudget.maxUnavailable="150%"', 'maxUnavailable'],
    ['no time to drain', 'proxy.drainSeconds=0', 'drainSeconds'],
    ['a range that is none', 'networkPolicy.upstream.cidrs=["10.0.0.0"]', 'cidrs'],
    ['a peer that names nobody', 'networkPolicy.proxy.from=[{}]', 'from'],
    ['no port of the store', 'networkPolicy.store.ports=[]', 'ports'],
    ['client certificates without TLS', 'proxy.tls.clientCASecret="x"', 'existingSecret'],
    ['a host name with a port', 'admin.hosts=["a.example:443"]', 'hosts'],
    ['a test over plain HTTP', 'tests.injectedRequest.url="http://api.example.com"', 'url'],
    ['a namespace that is none', 'ca.namespaces=["Team A"]', 'namespaces'],
    ['a mode that there is not', 'injector.mode="both"', 'mode'],
    ['a failure policy that there is not', 'injector.failurePolicy="Warn"', 'failurePolicy'],
    ['root as user of a sidecar', 'injector.sidecar.uid=0', 'uid'],
    ['a secret for every sidecar', 'injector.sidecar.settings={"ALTER_APP_KEY":"x"}', 'settings'],
    ['no injector that answers', 'injector.replicas=0', 'replicas'],
    ['a webhook that waits too long', 'injector.timeoutSeconds=31', 'timeoutSeconds'],
    ['a selector that is none', 'injector.namespaceSelector={"team":"a"}', 'namespaceSelector'],
    ['a certificate without its authority', 'injector.tls.existingSecret="x"', 'caBundle'],
    ['an issuer of unknown kind', 'injector.tls.certManager.issuerRef={"name":"a","kind":"Vault"}', 'kind'],
    ['an interval without a unit', 'metrics.serviceMonitor.interval="30"', 'interval'],
  ])('are refused by the schema: %s', (_what, value, named) => {
    const { code, said } = template(['--set-json', value]);
    expect(said).toContain("values don't meet the specifications of the schema");
    expect(said).toContain(named);
    expect(code).toBe(1);
  });

  it.each([
    ['one user for two components', ['--set', 'admin.uid=10128'], 'must differ'],
    [
      'one claim for the marks of two users',
      ['--set', 'proxy.stateMarks.existingClaim=x,admin.stateMarks.existingClaim=x'],
      'must differ',
    ],
    [
      'two makers of one certificate',
      [...ci('own-webhook-certificate-values.yaml'), '--set', 'injector.tls.certManager.enabled=true'],
      'not both',
    ],
    ['a test request without a key', ['--set', 'tests.injectedRequest.enabled=true'], 'needs keySecret and url'],
    ['a test request over TLS to the proxy', [...full, '--set', 'proxy.tls.existingSecret=x'], 'knows no authority'],
  ])('are refused by the chart: %s', (_what, words, message) => {
    const { code, said } = template(words);
    expect([code, said]).toEqual([1, expect.stringContaining(message)]);
  });
});

describeWithHelm('the gateway', () => {
  it('is spread, scaled and disrupted with care, and told to stop only after it got no more traffic', () => {
    const objects = render([]);
    const of = (kind: string) => objects.filter((object) => object.kind === kind);
    expect(of('HorizontalPodAutoscaler').map(({ spec }) => [spec.minReplicas, spec.maxReplicas])).toEqual([[2, 10]]);
    expect(of('PodDisruptionBudget').map(({ metadata, spec }) => [metadata.name, spec.maxUnavailable])).toEqual(
      ['injector', 'proxy'].map((name) => [`rel-alter-egress-${name}`, 1]),
    );
    const proxy = of('Deployment').find(({ metadata }) => metadata.name.endsWith('-proxy'))!;
    expect(proxy.spec).not.toHaveProperty('replicas'); // they are the autoscaler's
    const { topologySpreadConstraints: spread, containers } = proxy.spec.template.spec;
    expect(spread.map(({ topologyKey }) => topologyKey)).toEqual([
      'topology.kubernetes.io/zone',
      'kubernetes.io/hostname',
    ]);
    expect(containers[0].lifecycle).toEqual({ preStop: { sleep: { seconds: 5 } } });
  });

  it.each([
    ['as long as the pod', [], () => ({ emptyDir: { sizeLimit: '64Mi' } })],
    ['beyond it', full, (component: string) => ({ persistentVolumeClaim: { claimName: `${component}-marks` } })],
  ] as const)('keeps which state it has seen %s, where only its own container writes', (_how, words, volume) => {
    const pods = podsOf(render(words)).filter(({ component }) => ['proxy', 'admin'].includes(component));
    expect(pods).toHaveLength(2);
    for (const { component, spec } of pods) {
      const [container] = spec.containers;
      const directory = dirname(variable(container, 'ALTER_STATE_MARKS_FILE'));
      expect(container.volumeMounts).toContainEqual({ name: 'marks', mountPath: directory });
      expect(spec.volumes.find(({ name }) => name === 'marks')).toEqual({ name: 'marks', ...volume(component) });
    }
  });

  it('reaches no private address, and its admin service no port but 443', () => {
    const policies = render([]).filter(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && !metadata.name.endsWith('-injector'),
    );
    expect(policies).toHaveLength(2);
    for (const { metadata, spec } of policies) {
      const upstream = spec.egress.find(({ to }) => to?.[0]?.ipBlock)!;
      const except = upstream.to?.flatMap(({ ipBlock }) => ipBlock?.except ?? []);
      expect(except).toEqual(expect.arrayContaining(['10.0.0.0/8', '169.254.0.0/16', 'fc00::/7']));
      expect(upstream.ports).toEqual(metadata.name.endsWith('-admin') ? [{ port: 443, protocol: 'TCP' }] : undefined);
    }
  });

  it('is reached by its name, to which the admin API answers as well', () => {
    const admin = podsOf(render(full)).find(({ component }) => component === 'admin')!;
    const hosts = variable(admin.spec.containers[0], 'ALTER_ADMIN_HOSTS');
    expect(hosts.split(',')).toEqual([
      'rel-alter-egress-admin',
      'rel-alter-egress-admin.egress',
      'rel-alter-egress-admin.egress.svc',
      'rel-alter-egress-admin.egress.svc.cluster.local',
      'egress-admin.example.com',
    ]);
  });
});

describeWithHelm('the injector', () => {
  it('may read and write one Secret and one webhook, each by name', () => {
    const objects = render([]);
    const rules = objects.flatMap(({ rules: found = [] }) => found);
    expect(rules.map(({ resources, resourceNames, verbs }) => ({ resources, resourceNames, verbs }))).toEqual(
      expect.arrayContaining([
        { resources: ['secrets'], resourceNames: ['rel-alter-egress-injector-certificate'], verbs: ['get', 'update'] },
        {
          resources: ['mutatingwebhookconfigurations'],
          resourceNames: ['rel-alter-egress.egress'],
          verbs: ['get', 'patch'],
        },
      ]),
    );
    expect(rules).toHaveLength(2);
  });

  it.each(['cert-manager-values.yaml', 'own-webhook-certificate-values.yaml'])(
    'has neither token nor role where it does not make its certificate: %s',
    (file) => {
      const objects = render(ci(file));
      expect(objects.filter(({ kind }) => /Role|^Secret$/.test(kind))).toEqual([]);
      const pod = podsOf(objects).find(({ component }) => component === 'injector')!;
      expect(pod.spec.volumes.map(({ name }) => name)).toEqual(['tls']);
      const policy = objects.find(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && /-injector$/.test(metadata.name),
      )!;
      expect(policy.spec.egress).toEqual([]);
      const webhook = objects.find(({ kind }) => kind === 'MutatingWebhookConfiguration')!;
      const { caBundle } = webhook.webhooks![0]!.clientConfig;
      if (file.startsWith('own')) expect(Buffer.from(caBundle!, 'base64').toString()).toContain('BEGIN CERTIFICATE');
      else expect(webhook.metadata.annotations).toEqual({ 'cert-manager.io/inject-ca-from': expect.any(String) });
    },
  );

  it('is asked about pods with the annotation only, and never about those of the system', () => {
    const [webhook] = render([]).find(({ kind }) => kind === 'MutatingWebhookConfiguration')!.webhooks!;
    expect(webhook!.matchConditions[0]!.expression).toContain("'alter-egress/inject' in object.metadata.annotations");
    expect(JSON.stringify(webhook!.namespaceSelector)).toContain('kube-system');
  });

  it.each<[string, string, string]>([
    ['default-values.yaml', 'sidecar', 'refuse'],
    ['injector-values.yaml', 'gateway', 'admit'],
    ['trial-values.yaml', 'gateway', 'refuse'],
  ])(
    'adds to pods, as rendered with %s, what row by row holds for the pods of the chart',
    async (file, mode, onProblem) => {
      const pod = podsOf(render(ci(file))).find(({ component }) => component === 'injector')!;
      const environment = Object.fromEntries(pod.spec.containers[0].env.map(({ name, value = '' }) => [name, value]));
      const { injector: settings } = await loadConfig(environment, undefined);
      expect([settings.mode, settings.onProblem]).toEqual([mode, onProblem]);
      for (const asked of ['sidecar', 'gateway']) {
        const annotations = {
          'alter-egress/inject': 'true',
          'alter-egress/key-secret': 'key',
          'alter-egress/mode': asked,
        };
        const workload: TestPod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'a', annotations },
          spec: { containers: [{ name: 'a', image: 'a' }] },
        };
        const injected = patched(workload, review(admissionReview(workload), settings).response);
        const { code, said } = kubeconform(JSON.stringify(injected));
        expect([said, code]).toEqual([expect.stringContaining('Valid: 1, Invalid: 0, Errors: 0'), 0]);
        const [added, ...others] = containersOf(podsOf([injected as unknown as KubernetesObject])[0]!);
        expect(added!.securityContext).toEqual({
          runAsNonRoot: true,
          runAsUser: settings.uid,
          runAsGroup: settings.uid,
          allowPrivilegeEscalation: false,
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(added).not.toHaveProperty('command'); // the entry point of the image sets RLIMIT_CORE to 0
        expect(added!.restartPolicy).toBe(asked === 'sidecar' ? 'Always' : undefined);
        const ours = others.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name));
        expect(ours).toEqual(['alter-egress-trust']);
      }
    },
  );
});

describeWithHelm('what helm says after the install', () => {
  /** `helm install` needs a cluster; `helm template` leaves the notes out, unless they stand in an object. */
  const notes = (words: readonly string[]): string => {
    const copy = mkdtempSync(join(tmpdir(), 'alter-notes-'));
    try {
      cpSync(chart, copy, { recursive: true });
      const text = readFileSync(join(copy, 'templates/NOTES.txt'), 'utf8');
      renameSync(join(copy, 'templates/NOTES.txt'), join(copy, 'templates/_notes.tpl'));
      writeFileSync(join(copy, 'templates/_notes.tpl'), `{{- define "notes" }}${text}{{- end }}`);
      const object =
        'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: notes }\ndata:\n  notes: {{ include "notes" . | quote }}\n';
      writeFileSync(join(copy, 'templates/notes.yaml'), object);
      const { stdout } = helm(['template', 'rel', copy, '--namespace', 'egress', ...words]);
      return parseObjects(stdout).find(({ metadata }) => metadata.name === 'notes')?.data.notes ?? '';
    } finally {
      rmSync(copy, { recursive: true });
    }
  };

  it('names the Secrets that it waits for, and the next command', () => {
    const text = notes([]);
    expect(text).toContain('create secret generic alter-egress-root-key --from-literal=root-key=');
    expect(text).toContain('exec deploy/rel-alter-egress-admin -- node -p');
    expect(text).toContain('helm -n egress test rel');
    expect(text).toContain('--set-file ca.certificate=ca.crt');
    expect(text).not.toMatch(/<nil>|<no value>/);
  });

  it('warns of a trial, and does not ask for an authority that is known', () => {
    const text = notes([
      ...ci('trial-values.yaml'),
      '--set-json',
      `ca.certificate="-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----"`,
    ]);
    expect(text).toContain('This is a trial');
    expect(text).toContain('"/var/lib/alter/operator.env"');
    expect(text).not.toContain('ca.certificate=');
    expect(text).not.toContain('create secret');
  });
});

describeWithHelm('docs/kubernetes.md', () => {
  const snippets = [...read('docs/kubernetes.md').matchAll(/```yaml\n(apiVersion: [\s\S]*?)```/g)].map(
    (match) => match[1]!,
  );

  it('has manifests that the Kubernetes API knows', () => {
    expect(snippets.length).toBeGreaterThan(2);
    const { code, said } = kubeconform(snippets.join('---\n'));
    expect([said, code]).toEqual([expect.stringContaining('Invalid: 0, Errors: 0'), 0]);
  });

  it('names only settings that there are, and starts the sidecar before the workload, confined like the gateway', () => {
    const pods = podsOf(snippets.flatMap((text) => parseObjects(text)));
    const served = pods.flatMap(containersOf).filter(({ args }) => args[0] === 'serve');
    expect(served.length).toBeGreaterThan(0);
    for (const { env, restartPolicy, securityContext, startupProbe } of served) {
      for (const { name } of env)
        expect(settingNames).toContain(settingNames.includes(name) ? name : name.replace(/_FILE$/, ''));
      expect(restartPolicy).toBe('Always');
      expect(startupProbe).toBeDefined();
      expect(securityContext).toMatchObject({
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      });
    }
  });
});
