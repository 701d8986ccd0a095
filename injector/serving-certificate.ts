import { X509Certificate } from 'node:crypto';
import { type AuthorityMaterial, createAuthority, openAuthority } from '../certs/authority.ts';
import { AlterError } from '../core/errors.ts';
import { parseHost } from '../core/origin.ts';
import type { KubernetesApi } from './kubernetes-api.ts';
import type { Certificate } from './main.ts';
import { isObject } from './pod.ts';

const dayMs = 24 * 3_600_000;
/** An authority is replaced so long before its end, and both are trusted until then. */
const renewAuthorityMs = 365 * dayMs;
/** Leaves live for seven days. */
const renewLeafMs = 3 * dayMs;

interface Shared extends AuthorityMaterial {
  /** The authorities that the API server shall trust: this one first, then those that it replaced and that still count. */
  readonly bundle: string;
}

/**
 * Keeps the injector's own certificate: the authority in a Secret that all its replicas share, a leaf of a few days in
 * memory, and `caBundle` in the webhook's configuration. Every step can be repeated, and whoever comes first does it.
 */
export class ServingCertificate {
  readonly #api: KubernetesApi;
  readonly #secretPath: string;
  readonly #webhookPath: string;
  readonly #host: string;
  readonly #onChange: (certificate: Certificate) => void;
  #leaf: { readonly authorityPem: string; readonly notAfter: number } | null = null;

  constructor(of: {
    readonly api: KubernetesApi;
    readonly secret: { readonly namespace: string; readonly name: string };
    readonly webhook: string;
    readonly host: string;
    readonly onChange: (certificate: Certificate) => void;
  }) {
    this.#api = of.api;
    this.#secretPath = `/api/v1/namespaces/${of.secret.namespace}/secrets/${of.secret.name}`;
    this.#webhookPath = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${of.webhook}`;
    this.#host = of.host;
    this.#onChange = of.onChange;
  }

  /** Whether there is a certificate that lasts. */
  isReady(now: number): boolean {
    return this.#leaf !== null && now < this.#leaf.notAfter;
  }

  /** To be called every minute or so. Throws `state_unavailable` with what the API server said. */
  async look(now: number): Promise<void> {
    const shared = await this.#readShared(now);
    const wasTrusted = await this.#publish(shared.bundle);
    const leaf = this.#leaf;
    const isOurs = leaf?.authorityPem === shared.certificatePem;
    if (leaf !== null && isOurs && now < leaf.notAfter - renewLeafMs) return;
    // A new authority needs some seconds to reach every API server: the old leaf serves until the next look.
    if (leaf !== null && !isOurs && !wasTrusted && now < leaf.notAfter) return;
    const issued = openAuthority({ ...shared, now }).issueLeaf(parseHost(this.#host), now);
    this.#onChange({ cert: issued.chainPem, key: issued.privateKeyPem });
    this.#leaf = { authorityPem: shared.certificatePem, notAfter: issued.notAfter };
  }

  async #readShared(now: number): Promise<Shared> {
    const secret = await this.#get(this.#secretPath);
    const known = findShared(secret.data);
    if (known !== null && endOf(known.certificatePem) - now > renewAuthorityMs) return known;
    const made = await createAuthority({ now });
    const kept = (known === null ? [] : certificatesOf(known.bundle)).filter((pem) => endOf(pem) > now);
    const shared = { ...made, bundle: [made.certificatePem, ...kept].join('') };
    const data = { 'tls.crt': made.certificatePem, 'tls.key': made.privateKeyPem, 'ca.crt': shared.bundle };
    const value = {
      ...secret,
      data: Object.fromEntries(Object.entries(data).map(([key, pem]) => [key, toBase64(pem)])),
    };
    // The metadata carries the resourceVersion: of two replicas that write, one is refused and reads what the other wrote.
    const { status, body } = await this.#api.request('PUT', this.#secretPath, { type: 'application/json', value });
    if (status === 409) {
      const theirs = findShared((await this.#get(this.#secretPath)).data);
      if (theirs !== null) return theirs;
    }
    if (status !== 200) throw unexpected('PUT', this.#secretPath, status, body);
    return shared;
  }

  /** Whether every webhook had it already. */
  async #publish(bundle: string): Promise<boolean> {
    const configuration = await this.#get(this.#webhookPath);
    const webhooks = Array.isArray(configuration.webhooks) ? (configuration.webhooks as unknown[]) : [];
    const wanted = toBase64(bundle);
    const stale = webhooks.flatMap((webhook, index) => {
      const client = isObject(webhook) && isObject(webhook.clientConfig) ? webhook.clientConfig : {};
      return client.caBundle === wanted ? [] : [index];
    });
    if (stale.length === 0) return true;
    const metadata = isObject(configuration.metadata) ? configuration.metadata : {};
    const value = [
      // Whoever changed the list in between would have our certificate at the wrong webhook.
      { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
      ...stale.map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: wanted })),
    ];
    const patch = { type: 'application/json-patch+json', value };
    const { status, body } = await this.#api.request('PATCH', this.#webhookPath, patch);
    if (status !== 200) throw unexpected('PATCH', this.#webhookPath, status, body);
    return false;
  }

  async #get(path: string): Promise<Readonly<Record<string, unknown>>> {
    const { status, body } = await this.#api.request('GET', path);
    if (status !== 200) throw unexpected('GET', path, status, body);
    return body;
  }
}

/** Null for a Secret that is empty, or holds something else. */
function findShared(data: unknown): Shared | null {
  if (!isObject(data)) return null;
  const [certificatePem, privateKeyPem, bundle] = ['tls.crt', 'tls.key', 'ca.crt'].map((key) =>
    typeof data[key] === 'string' ? Buffer.from(data[key], 'base64').toString('utf8') : '',
  ) as [string, string, string];
  try {
    if (certificatesOf(bundle)[0] !== certificatePem || privateKeyPem === '') return null;
    endOf(certificatePem);
    return { certificatePem, privateKeyPem, bundle };
  } catch {
    return null;
  }
}

function certificatesOf(pem: string): string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((block) => `${block}\n`);
}

function endOf(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function unexpected(method: string, path: string, status: number, body: Readonly<Record<string, unknown>>): AlterError {
  const said = typeof body.message === 'string' ? `: ${body.message.slice(0, 200)}` : '';
  return new AlterError('state_unavailable', {
    detail: `The Kubernetes API answered ${status} to ${method} ${path}${said}.`,
    hint: 'The role of the injector must let it get and update its Secret, and get and patch its webhook.',
  });
}
