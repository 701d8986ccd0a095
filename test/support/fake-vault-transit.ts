import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type SeenRequest, Sink, TestAuthority } from './sink.ts';

/**
 * A stand-in for the transit engine of HashiCorp Vault and OpenBao over real TLS, with tokens and the auth method of
 * Kubernetes. Only what this project asks for is there.
 */
export class FakeVaultTransit {
  readonly authority: TestAuthority;
  readonly sink: Sink;
  readonly keys = new Map<string, Buffer>();
  readonly tokens = new Set<string>(['hvs.first']);
  /** What a service account shows; by role. */
  readonly roles = new Map<string, string>();
  logins = 0;
  leaseSeconds = 3_600;
  /** What comes instead of an answer, first in first out. */
  readonly instead: ((res: ServerResponse) => void)[] = [];

  private constructor(authority: TestAuthority, sink: Sink) {
    this.authority = authority;
    this.sink = sink;
    sink.answer = (_, res) => {
      const special = this.instead.shift();
      if (special !== undefined) special(res);
      else this.#answer(sink.requests.at(-1)!, res);
    };
  }

  static async open(): Promise<FakeVaultTransit> {
    const authority = await TestAuthority.create();
    const fake = new FakeVaultTransit(authority, await Sink.open({ authority, host: 'localhost' }));
    for (const name of ['alter', 'other']) fake.keys.set(name, randomBytes(32));
    return fake;
  }

  get origin(): string {
    return `https://localhost:${this.sink.port}`;
  }

  fail(status: number): void {
    this.instead.push((res) => refuse(res, status));
  }

  close(): Promise<void> {
    return this.sink.close();
  }

  #answer(request: SeenRequest, res: ServerResponse): void {
    const body = JSON.parse(request.body.toString()) as Record<string, string>;
    if (request.url === '/v1/auth/kubernetes/login') {
      const jwt = this.roles.get(String(body.role));
      if (jwt === undefined || jwt !== body.jwt) {
        refuse(res, 403);
        return;
      }
      this.logins++;
      const token = `hvs.login${this.logins}`;
      this.tokens.add(token);
      res.end(JSON.stringify({ auth: { client_token: token, lease_duration: this.leaseSeconds, renewable: true } }));
      return;
    }
    const [, operation, name = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/([\w-]+)$/.exec(request.url) ?? [];
    const key = this.keys.get(name);
    if (!this.tokens.has(request.all('x-vault-token')[0] ?? '')) refuse(res, 403);
    else if (operation === undefined || key === undefined) refuse(res, 404);
    else if (operation === 'encrypt') {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
      cipher.setAAD(Buffer.from(body.associated_data ?? '', 'base64'));
      const sealed = Buffer.concat([iv, cipher.update(body.plaintext!, 'base64'), cipher.final(), cipher.getAuthTag()]);
      res.end(JSON.stringify({ data: { ciphertext: `vault:v1:${sealed.toString('base64')}`, key_version: 1 } }));
    } else {
      try {
        if (!/^vault:v1:[A-Za-z0-9+/]+={0,2}$/.test(body.ciphertext ?? '')) throw new Error('invalid ciphertext');
        const sealed = Buffer.from(body.ciphertext!.slice('vault:v1:'.length), 'base64');
        // As Vault: base64 is read strictly, so that one text stands for one ciphertext.
        if (sealed.toString('base64') !== body.ciphertext!.slice('vault:v1:'.length)) throw new Error('not base64');
        const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 });
        decipher.setAAD(Buffer.from(body.associated_data ?? '', 'base64')).setAuthTag(sealed.subarray(-16));
        const plaintext = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
        res.end(JSON.stringify({ data: { plaintext: plaintext.toString('base64') } }));
      } catch {
        refuse(res, 400);
      }
    }
  }
}

function refuse(res: ServerResponse, status: number): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: ['refused'] }));
}
