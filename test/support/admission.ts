import { randomUUID } from 'node:crypto';
import https from 'node:https';
import { applyJsonPatch, type PatchOperation } from './json-patch.ts';

export interface TestPod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: Readonly<Record<string, unknown>> & { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: string;
  readonly patch?: string;
  readonly status?: { readonly code: number; readonly message: string };
  readonly warnings?: readonly string[];
}

/** What the API server sends when somebody makes a pod; `over` replaces parts of the request. */
export function admissionReview(pod: unknown, over: Readonly<Record<string, unknown>> = {}) {
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      requestResource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'team-a',
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        groups: ['system:authenticated'],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'kube-controller-manager' },
      ...over,
    },
  };
}

export function patched(pod: TestPod, response: AdmissionResponse): TestPod {
  const patch = JSON.parse(Buffer.from(response.patch ?? 'W10=', 'base64').toString('utf8')) as PatchOperation[];
  return applyJsonPatch(pod, patch);
}

/** Over TLS, with the name of the Service checked against `ca` as the API server does. */
export function post(of: {
  readonly port: number;
  readonly ca: string;
  readonly host: string;
  readonly body: string | Buffer;
  readonly path?: string;
  readonly method?: string;
  readonly type?: string;
}): Promise<{ readonly status: number; readonly body: string; readonly certificateEnds: string }> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: of.port,
        servername: of.host,
        ca: of.ca,
        agent: false,
        path: of.path ?? '/inject?timeout=10s',
        method: of.method ?? 'POST',
        headers: { 'content-type': of.type ?? 'application/json', 'content-length': Buffer.byteLength(of.body) },
      },
      (response) => {
        const { valid_to: certificateEnds } = (response.socket as import('node:tls').TLSSocket).getPeerCertificate();
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
            certificateEnds,
          }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(of.body);
  });
}
