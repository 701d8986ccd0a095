import { createHash, createHmac } from 'node:crypto';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { CredentialFields } from '../../core/credential.ts';
import { AlterError } from '../../core/errors.ts';
import type { ChunkSigner } from './aws-chunks.ts';
import { canonicalTarget } from './aws-target.ts';

/** One request and its chunks: all of one date. */
export class AwsSigner implements ChunkSigner {
  readonly #signer: TargetSigner;
  readonly #date: Date;
  readonly #scope: string;
  readonly #sessionToken: string | undefined;

  /** `now` in milliseconds since the epoch. Throws `state_invalid` where the credential has not the fields of its type. */
  constructor(of: {
    readonly scope: { readonly service: string; readonly region: string };
    readonly fields: CredentialFields;
    readonly now: number;
    /** Whether paths are signed as they are, which S3 and its kin do. */
    readonly isS3: boolean;
  }) {
    const { scope, fields } = of;
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = fields;
    if (accessKeyId === undefined || secretAccessKey === undefined)
      throw new AlterError('state_invalid', { detail: 'The credential has not the fields of aws_sig_v4.' });
    this.#date = new Date(of.now);
    this.#sessionToken = sessionToken;
    this.#scope = `${amzDate(this.#date).slice(0, 8)}/${scope.region}/${scope.service}/aws4_request`;
    // Made for each request, so that no credential stays in memory; smithy keeps derived keys, which are good for a day.
    this.#signer = new TargetSigner(
      {
        ...scope,
        credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
        sha256: NodeSha256,
        applyChecksum: false,
      },
      of.isS3,
    );
  }

  /** `headers` are those that the signature covers. Gives the headers to add, flat, and the signature alone. */
  async sign(
    method: string,
    target: string,
    headers: Record<string, string>,
  ): Promise<{ readonly headers: readonly string[]; readonly signature: string }> {
    const request = new HttpRequest({ method, path: target, headers });
    const signed = await this.#signer.sign(request, { signingDate: this.#date });
    const authorization = signed.headers.authorization!;
    return {
      headers: [
        'X-Amz-Date',
        signed.headers['x-amz-date']!,
        ...(this.#sessionToken === undefined ? [] : ['X-Amz-Security-Token', this.#sessionToken]),
        'Authorization',
        authorization,
      ],
      signature: authorization.slice(-64),
    };
  }

  signChunk(data: Uint8Array, previous: string): Promise<string> {
    return this.#signer.sign(
      { headers: new Uint8Array(), payload: data },
      { signingDate: this.#date, priorSignature: previous },
    );
  }

  signTrailers(digest: string, previous: string): Promise<string> {
    const lines = ['AWS4-HMAC-SHA256-TRAILER', amzDate(this.#date), this.#scope, previous, digest];
    return this.#signer.sign(lines.join('\n'), { signingDate: this.#date });
  }
}

function amzDate(date: Date): string {
  return date.toISOString().replace(/\.\d+|[-:]/g, '');
}

/**
 * Smithy's signer, but for the canonical form of path and query, which it makes of a decoded query and so can't make of
 * every target that a client may send. Here the path of the request is its whole target.
 */
class TargetSigner extends SignatureV4 {
  readonly #isS3: boolean;

  constructor(init: ConstructorParameters<typeof SignatureV4>[0], isS3: boolean) {
    super(init);
    this.#isS3 = isS3;
  }

  protected override createCanonicalRequest(
    request: HttpRequest,
    canonicalHeaders: Record<string, string>,
    payloadHash: string,
  ): string {
    const names = Object.keys(canonicalHeaders).sort();
    const { path, query } = canonicalTarget(request.path, this.#isS3);
    const lines = names.map((name) => `${name}:${canonicalHeaders[name]}`);
    return [request.method, path, query, ...lines, '', names.join(';'), payloadHash].join('\n');
  }
}

/** The hash and the HMAC of node:crypto in the form that smithy asks for. */
class NodeSha256 {
  readonly #hash: { update(data: Uint8Array): unknown; digest(): Buffer };

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash('sha256');
    else this.#hash = createHmac('sha256', toKey(secret));
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
}

function toKey(secret: string | ArrayBuffer | ArrayBufferView): string | Uint8Array {
  if (typeof secret === 'string') return secret;
  return ArrayBuffer.isView(secret)
    ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
    : new Uint8Array(secret);
}
