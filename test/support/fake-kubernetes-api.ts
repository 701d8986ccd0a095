import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, openAuthority } from '../../certs/authority.ts';
import { parseHost } from '../../core/origin.ts';
import { applyJsonPatch, type PatchOperation } from './json-patch.ts';

interface StoredObject {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/**
 * A fake of the API server of Kubernetes over real HTTPS: objects by path, a token, resource versions with their
 * conflicts, and JSON Patch. It has no admission, no watch and no roles, except that what is not there is forbidden.
 */
export class FakeKubernetesApi {
  readonly objects = new Map<string, StoredObject>();
  /** `METHOD path`, in order. */
  readonly requests: string[] = [];
  readonly token = 'token-of-the-injector';
  readonly #server: https.Server;
  /** As it is mounted in a pod: `ca.crt` and `token`. */
  readonly serviceAccountDirectory: string;
  /** Called before a write is carried out, where a test wants somebody else to be quicker. */
  beforeWrite: (() => void) | null = null;
  #version = 1;

  private constructor(server: https.Server, caPem: string) {
    this.#server = server;
    this.serviceAccountDirectory = mkdtempSync(join(tmpdir(), 'alter-service-account-'));
    writeFileSync(join(this.serviceAccountDirectory, 'ca.crt'), caPem);
    writeFileSync(join(this.serviceAccountDirectory, 'token'), `${this.token}\n`);
  }

  static async open(): Promise<FakeKubernetesApi> {
    const now = Date.now();
    const authority = openAuthority({ ...(await createAuthority({ now })), now });
    const { chainPem, privateKeyPem } = authority.issueLeaf(parseHost('127.0.0.1'), now);
    const server = https.createServer({ cert: chainPem, key: privateKeyPem });
    const api = new FakeKubernetesApi(server, authority.certificatePem);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const { status, body } = api.#answer(request.method ?? '', request.url ?? '', request.headers, text);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return api;
  }

  get env(): Readonly<Record<string, string>> {
    const { port } = this.#server.address() as AddressInfo;
    return { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
  }

  put(path: string, object: StoredObject): void {
    this.#version += 1;
    this.objects.set(path, {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version) },
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.serviceAccountDirectory, { recursive: true });
  }

  #answer(
    method: string,
    path: string,
    headers: IncomingHttpHeaders,
    text: string,
  ): { readonly status: number; readonly body: unknown } {
    this.requests.push(`${method} ${path}`);
    const refuse = (status: number, message: string) => ({ status, body: { kind: 'Status', message, code: status } });
    if (headers.authorization !== `Bearer ${this.token}`) return refuse(401, 'Unauthorized');
    if (method !== 'GET') this.beforeWrite?.();
    const object = this.objects.get(path);
    if (object === undefined) return refuse(403, `${path} is forbidden`);
    if (method === 'GET') return { status: 200, body: object };
    const body = JSON.parse(text) as StoredObject;
    if (method === 'PUT') {
      if (body.metadata.resourceVersion !== object.metadata.resourceVersion)
        return refuse(409, 'the object has been modified');
      this.put(path, body);
    } else if (headers['content-type'] !== 'application/json-patch+json') return refuse(415, 'unsupported media type');
    else {
      try {
        this.put(path, applyJsonPatch(object, body as unknown as readonly PatchOperation[]));
      } catch (error) {
        return refuse(422, (error as Error).message);
      }
    }
    return { status: 200, body: this.objects.get(path) };
  }
}
