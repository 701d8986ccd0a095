import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { type SeenRequest, Sink, TestAuthority } from './sink.ts';

const region = 'eu-west-1';
const maxSkewMs = 15 * 60_000;

/**
 * A stand-in for AWS KMS and STS over real TLS: it keeps keys by id, checks each signature with an implementation that is not
 * ours, and answers in the words of the service. Only what this project asks for is there.
 */
export class FakeAwsKms {
  readonly authority: TestAuthority;
  readonly sink: Sink;
  /** By access key id. */
  readonly users = new Map<string, { secretAccessKey: string; sessionToken: string | null }>();
  readonly keys = new Map<string, Buffer>();
  /** Tokens of a role that STS exchanges. */
  webIdentityToken: string | null = null;
  /** How often STS gave credentials. */
  exchanges = 0;
  /** What comes instead of an answer, first in first out. */
  readonly instead: ((res: ServerResponse) => void)[] = [];

  private constructor(authority: TestAuthority, sink: Sink) {
    this.authority = authority;
    this.sink = sink;
    sink.answer = (_, res) => {
      const special = this.instead.shift();
      if (special !== undefined) special(res);
      else void this.#answer(sink.requests.at(-1)!, res);
    };
  }

  static async open(): Promise<FakeAwsKms> {
    const authority = await TestAuthority.create();
    const fake = new FakeAwsKms(authority, await Sink.open({ authority, host: 'localhost' }));
    fake.users.set('AKIDFORKMSEXAMPLE', {
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionToken: null,
    });
    for (const id of ['alias/alter', 'alias/other']) fake.keys.set(id, randomBytes(32));
    return fake;
  }

  get url(): string {
    return `https://localhost:${this.sink.port}`;
  }

  get region(): string {
    return region;
  }

  fail(status: number, type: string): void {
    this.instead.push((res) => answerError(res, status, type));
  }

  close(): Promise<void> {
    return this.sink.close();
  }

  async #answer(request: SeenRequest, res: ServerResponse): Promise<void> {
    const target = request.all('x-amz-target')[0];
    if (target === undefined) {
      this.#exchange(request, res);
      return;
    }
    const refusal = await this.#checkSignature(request);
    if (refusal !== null) {
      answerError(res, 400, refusal);
      return;
    }
    const body = JSON.parse(request.body.toString()) as Record<string, unknown>;
    const key = this.keys.get(String(body.KeyId));
    const context = Buffer.from(JSON.stringify(body.EncryptionContext ?? {}));
    if (key === undefined) answerError(res, 400, 'NotFoundException');
    else if (target === 'TrentService.Encrypt') {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 }).setAAD(context);
      const sealed = [cipher.update(String(body.Plaintext), 'base64'), cipher.final(), cipher.getAuthTag()];
      const blob = Buffer.concat([iv, ...sealed]).toString('base64');
      answerJson(res, { CiphertextBlob: blob, KeyId: body.KeyId });
    } else if (target === 'TrentService.Decrypt') {
      const blob = Buffer.from(String(body.CiphertextBlob), 'base64');
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, blob.subarray(0, 12), { authTagLength: 16 });
        decipher.setAAD(context).setAuthTag(blob.subarray(-16));
        const plaintext = Buffer.concat([decipher.update(blob.subarray(12, -16)), decipher.final()]);
        answerJson(res, { Plaintext: plaintext.toString('base64'), KeyId: body.KeyId });
      } catch {
        answerError(res, 400, 'InvalidCiphertextException');
      }
    } else answerError(res, 400, 'UnknownOperationException');
  }

  #exchange(request: SeenRequest, res: ServerResponse): void {
    const form = new URLSearchParams(request.body.toString());
    if (form.get('Action') !== 'AssumeRoleWithWebIdentity' || form.get('WebIdentityToken') !== this.webIdentityToken) {
      res.writeHead(400).end('<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>');
      return;
    }
    this.exchanges++;
    const [id, secretAccessKey, sessionToken] = [`ASIA${this.exchanges}`, randomBytes(20).toString('hex'), 'session'];
    this.users.set(id, { secretAccessKey, sessionToken });
    const expiration = new Date(Date.now() + 3_600_000).toISOString();
    res.end(
      `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${id}</AccessKeyId>` +
        `<SecretAccessKey>${secretAccessKey}</SecretAccessKey><SessionToken>${sessionToken}</SessionToken>` +
        `<Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
    );
  }

  /** The error that AWS would answer with; null where the signature is right. */
  async #checkSignature(request: SeenRequest): Promise<string | null> {
    const given = request.all('authorization')[0] ?? '';
    const [, accessKeyId = '', scope = '', signed = ''] =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$/.exec(given) ?? [];
    const user = this.users.get(accessKeyId);
    if (user === undefined) return 'UnrecognizedClientException';
    if (user.sessionToken !== (request.all('x-amz-security-token')[0] ?? null)) return 'UnrecognizedClientException';
    const names = signed.split(';');
    if (!['host', 'x-amz-date', 'x-amz-target'].every((name) => names.includes(name)))
      return 'IncompleteSignatureException';
    const date = request.all('x-amz-date')[0]!;
    const at = new Date(date.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'));
    if (Math.abs(at.getTime() - Date.now()) > maxSkewMs) return 'SignatureDoesNotMatch';
    if (scope !== `${date.slice(0, 8)}/${region}/kms/aws4_request`) return 'SignatureDoesNotMatch';
    const headers = Object.fromEntries(names.map((name) => [name, request.all(name).join(',')]));
    const signer = new SignatureV4({
      region,
      service: 'kms',
      credentials: { accessKeyId, secretAccessKey: user.secretAccessKey },
      sha256: NodeSha256,
      applyChecksum: false,
    });
    const { 'x-amz-date': _, ...rest } = headers; // it signs its own, of the same second
    const expected = await signer.sign(
      new HttpRequest({ method: request.method, path: request.url, headers: rest, body: request.body }),
      { signingDate: at },
    );
    return expected.headers.authorization === given ? null : 'SignatureDoesNotMatch';
  }
}

function answerJson(res: ServerResponse, body: object): void {
  res.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
}

function answerError(res: ServerResponse, status: number, type: string): void {
  res.writeHead(status).end(JSON.stringify({ __type: `com.amazonaws.kms#${type}`, message: 'refused' }));
}

class NodeSha256 {
  readonly #hash: { update(data: Uint8Array): unknown; digest(): Buffer };

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string | NodeJS.ArrayBufferView);
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
}
