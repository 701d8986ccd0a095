import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../core/config.ts';
import { review } from '../../injector/admission.ts';
import { admissionReview, patched, type TestPod } from '../support/admission.ts';
import { TestCluster } from '../support/cluster.ts';
import { Rig, run, type StoredSecret } from '../support/rig.ts';
import { Sidecar } from '../support/sidecar.ts';

interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

/**
 * What the injector writes into a pod, run as processes: the sidecar with its variables and with files where its volumes
 * would be, and a curl with the variables of the workload. Only ports and directories are other ones than in a pod.
 */
describe('a pod that was injected', () => {
  let rig: Rig;
  let cluster: TestCluster;
  let secret: StoredSecret;
  let directory: string;
  const settings = parseConfig({ ALTER_INJECTOR_IMAGE: 'alter-egress:0.1.0' }).injector;

  beforeAll(async () => {
    rig = await Rig.open({ store: 'redis', sinks: ['a.test', 'idp.test'] });
    cluster = await TestCluster.open(rig, 'idp.test');
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    await cluster.register(rig);
    const made = await rig.admin<{ app_key: string; store_url: string }>('POST', '/sidecar-credentials', {});
    directory = mkdtempSync(join(tmpdir(), 'alter-pod-'));
    writeFileSync(join(directory, 'ALTER_APP_KEY'), made.app_key);
    writeFileSync(join(directory, 'ALTER_STORE_URL'), made.store_url);
    writeFileSync(join(directory, 'token'), await cluster.token({ appId: rig.appId }));
  });
  afterAll(async () => {
    await rig?.close();
    if (directory !== undefined) rmSync(directory, { recursive: true });
  });

  /** As the kubelet would hand them to the container. */
  const variables = ({ env = [] }: Container, key: string): Record<string, string> =>
    Object.fromEntries(
      env.map(({ name, value }) => [
        name,
        (value ?? key)
          .replace('$(EGRESS_PROXY_KEY)', key)
          .replace(/^\/(?:run\/secrets\/alter-egress(?:-identity)?|alter-egress\/trust)\//, `${directory}/`),
      ]),
    );

  it.each<[string, () => Promise<{ key: string; annotations: Record<string, string> }>]>([
    [
      'with a key of its own',
      async () => ({ key: (await rig.mintKey()).key, annotations: { 'alter-egress/key-secret': 'checkout-key' } }),
    ],
    [
      'with the token of its ServiceAccount',
      async () => ({ key: '', annotations: { 'alter-egress/identity': rig.appId } }),
    ],
  ])('gets the credential into the request of its workload: %s', async (_how, prepare) => {
    const { key, annotations } = await prepare();
    const pod: TestPod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'checkout', annotations: { 'alter-egress/inject': 'true', ...annotations } },
      spec: { containers: [{ name: 'checkout', image: 'checkout:1' }] },
    };
    const { spec } = patched(pod, review(admissionReview(pod), settings).response) as unknown as {
      spec: { initContainers: Container[]; containers: Container[] };
    };
    const [proxy, workload] = [spec.initContainers[0]!, spec.containers[0]!];
    expect(proxy.args).toEqual(['serve', '--role', 'proxy']);
    const ownPorts = { ALTER_PROXY_LISTEN: '127.0.0.1:0', ALTER_OPS_LISTEN: '127.0.0.1:0' };
    const sidecar = await Sidecar.start(rig, { ...variables(proxy, ''), ...ownPorts });
    try {
      const env = variables(workload, key);
      const proxyUrl = env.HTTPS_PROXY!.replace('127.0.0.1:3128', `127.0.0.1:${sidecar.proxyPort}`);
      const asked = await run('curl', ['-sS', '--max-time', '20', '-D', '-', `https://${rig.authorityOf()}/`], {
        ...env,
        PATH: process.env.PATH ?? '',
        HTTPS_PROXY: proxyUrl,
        https_proxy: proxyUrl,
      });
      expect([asked.stderr, asked.stdout]).toEqual(['', expect.stringMatching(/X-Alter-Request-Id: \S+\r\n\r\nok$/)]);
      expect(rig.sink().requests.at(-1)!.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    } finally {
      await sidecar.stop();
    }
  });
});
