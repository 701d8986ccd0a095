import { createHash } from 'node:crypto';
import { type AwsScope, findAwsScope } from '../core/aws-host.ts';
import type { CredentialFields } from '../core/credential.ts';
import { AlterError } from '../core/errors.ts';
import { formatHostHeader, type Origin } from '../core/origin.ts';
import { resignChunks } from './aws/aws-chunks.ts';
import { encodeQuery, encodeS3Path } from './aws/aws-target.ts';
import { type Payload, readToSign, type Signing } from './aws/signed-body.ts';
import { dashed, withoutQueryParameter } from './client-copies.ts';
import type { ParsedRequest } from './request.ts';

/** The parts of an outbound request that signing decides. */
export interface SignedRequest {
  readonly target: string;
  /** Flat; Host first. */
  readonly headers: readonly string[];
  readonly body: ParsedRequest['body'];
  readonly payload: Payload;
}

/** Services whose paths are encoded once and keep their dots and empty segments: a key of S3 may hold any of them. */
const s3Services = new Set(['s3', 's3-outposts', 's3-object-lambda', 's3express']);

/**
 * What only a signer may set. Date is among them, since our clock is the one that counts, and so are the token of an S3
 * Express session and the regions of SigV4A, which belong to the credential that the client signed with.
 */
const signersHeaders = new Set([
  'authorization',
  'date',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-region-set',
  'x-amz-s3session-token',
  'x-amz-security-token',
]);
const presignedParameters = [
  'X-Amz-Algorithm',
  'X-Amz-Content-Sha256',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-Region-Set',
  'X-Amz-S3session-Token',
  'X-Amz-Security-Token',
  'X-Amz-Signature',
  'X-Amz-SignedHeaders',
];
/** Of Signature V2. `Expires` and `Signature` are ordinary names, so they go only together with the first. */
const olderPresignedParameters = ['AWSAccessKeyId', 'Signature', 'Expires'];

/** Loaded with the first request that is to be signed: it brings smithy along, for which most services have no use. */
let signers: Promise<typeof import('./aws/aws-signer.ts')> | undefined;

const unsigned = 'UNSIGNED-PAYLOAD';
const unsignedWithTrailer = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
const chunked = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const chunkedWithTrailer = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';

/**
 * Takes the client's own signature out of a request, in the headers or in the query, and signs what is left.
 *
 * Throws `host_not_allowed` where neither the host nor the credential tells region and service, `request_malformed` for an
 * x-amz-content-sha256 that is not understood, `body_too_large_to_sign`, `overloaded`, and `state_invalid` where the
 * credential has not the fields of its type.
 */
export async function signAws(
  request: ParsedRequest,
  fields: CredentialFields,
  signing: Signing,
): Promise<SignedRequest> {
  const scope = scopeFor(request.origin, fields);
  const isS3 = s3Services.has(scope.service);
  const { target, wasPresigned } = targetToSign(request.target, isS3);
  const { kept, declared } = withoutSignature(request.headers);

  const plan = await planBody({ request, declared, wasPresigned, isS3 }, signing);
  const headers = ['Host', formatHostHeader(request.origin), ...kept, 'X-Amz-Content-Sha256', plan.hash];
  signers ??= import('./aws/aws-signer.ts');
  const { AwsSigner } = await signers;
  const signer = new AwsSigner({ scope, fields, now: signing.now, isS3 });
  const added = await signer.sign(request.method, target, signedHeaders(headers));
  return {
    target,
    headers: [...headers, ...added.headers],
    body: plan.body,
    payload:
      plan.hash === chunked || plan.hash === chunkedWithTrailer
        ? (source) =>
            resignChunks(source, {
              signer,
              seed: added.signature,
              hasTrailers: plan.hash === chunkedWithTrailer,
              maxChunkBytes: signing.maxBodyBytes,
              memory: signing.memory,
            })
        : plan.payload,
  };
}

function scopeFor(origin: Origin, fields: CredentialFields): { readonly service: string; readonly region: string } {
  const found: AwsScope | null = origin.kind === 'name' ? findAwsScope(origin.host) : null;
  const service = fields.service ?? found?.service;
  const region = fields.region ?? found?.region;
  if (service !== undefined && region !== undefined && region !== null) return { service, region };
  const missing = [service === undefined ? 'service' : null, region === undefined || region === null ? 'region' : null];
  const names = missing.filter((name) => name !== null).join(' and ');
  throw new AlterError('host_not_allowed', {
    detail: `The request can't be signed: neither this host nor the credential tells the AWS ${names}.`,
    hint: `Rotate the secret to a credential with the field ${names}.`,
  });
}

/** The target as it leaves: without the client's signature, and of one encoding only, which is the one that is signed. */
function targetToSign(given: string, isS3: boolean): { readonly target: string; readonly wasPresigned: boolean } {
  const question = given.indexOf('?');
  const path = question === -1 ? given : given.slice(0, question);
  const outgoingPath = isS3 ? encodeS3Path(path) : path;
  if (question === -1) return { target: outgoingPath, wasPresigned: false };
  let left = given.slice(question);
  const before = left;
  for (const name of presignedParameters) left = withoutQueryParameter(left, name);
  const withoutKey = withoutQueryParameter(left, 'AWSAccessKeyId');
  if (withoutKey !== left) for (const name of olderPresignedParameters) left = withoutQueryParameter(left, name);
  return { target: outgoingPath + encodeQuery(left), wasPresigned: left !== before };
}

function withoutSignature(headers: readonly string[]): { readonly kept: string[]; readonly declared: string | null } {
  const kept: string[] = [];
  let declared: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = dashed(headers[i]!);
    if (!signersHeaders.has(name)) kept.push(headers[i]!, headers[i + 1]!);
    else if (name === 'x-amz-content-sha256') {
      if (declared !== null)
        throw new AlterError('request_malformed', { detail: 'The header x-amz-content-sha256 occurs twice.' });
      declared = headers[i + 1]!;
    }
  }
  return { kept, declared };
}

interface BodyPlan {
  /** The value of x-amz-content-sha256. */
  readonly hash: string;
  readonly body: ParsedRequest['body'];
  readonly payload: Payload;
}

async function planBody(
  of: {
    readonly request: ParsedRequest;
    readonly declared: string | null;
    readonly wasPresigned: boolean;
    readonly isS3: boolean;
  },
  signing: Signing,
): Promise<BodyPlan> {
  const { body, origin } = of.request;
  const asItComes = (hash: string): BodyPlan => ({ hash, body, payload: 'as it comes' });
  const isEmpty = body === 'none' || body === 0;
  if (of.declared !== null) {
    if (/^[0-9a-fA-F]{64}$/.test(of.declared) || of.declared === unsigned || of.declared === unsignedWithTrailer)
      return asItComes(of.declared);
    if ((of.declared === chunked || of.declared === chunkedWithTrailer) && !isEmpty) return asItComes(of.declared);
    throw new AlterError('request_malformed', {
      detail: isEmpty
        ? 'The header x-amz-content-sha256 announces signed chunks, and there is no body.'
        : 'The header x-amz-content-sha256 holds a value that is not understood.',
      hint: `Send the SHA-256 of the body in hex, ${unsigned}, ${unsignedWithTrailer}, ${chunked} or ${chunkedWithTrailer}.`,
    });
  }
  if (body === 'none' || isEmpty) return asItComes(createHash('sha256').digest('hex'));
  // Whoever made the URL could not know the body, and S3 holds it to nothing either.
  if (of.wasPresigned && of.isS3) return asItComes(unsigned);

  // TLS protects what the signature then does not cover, and no other service takes a body unsigned.
  const mayLeaveUnsigned = of.isS3 && origin.scheme === 'https';
  const isKnownTooLarge = body !== 'chunked' && body > signing.maxBodyBytes;
  const whole = isKnownTooLarge ? null : await readToSign(signing);
  if (whole !== null)
    return {
      hash: createHash('sha256').update(whole).digest('hex'),
      body: whole.length,
      payload: whole,
    };
  if (mayLeaveUnsigned) return asItComes(unsigned);
  throw new AlterError('body_too_large_to_sign', {
    detail: `The body is larger than the ${signing.maxBodyBytes} bytes that are held to be signed.`,
  });
}

/** Name to canonical value, as the signature covers them; names in lower case. */
function signedHeaders(headers: readonly string[]): Record<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (!isSigned(name)) continue;
    const value = asText(headers[i + 1]!)
      .replace(/[ \t]+/g, ' ')
      .trim();
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(values);
}

/** What AWS requires to be signed, and what says how the body is meant. Anything else may be changed on the way. */
function isSigned(name: string): boolean {
  return (
    name.startsWith('x-amz-') ||
    name === 'host' ||
    name === 'content-type' ||
    name === 'content-md5' ||
    name === 'range'
  );
}

/** Header bytes beyond ASCII come as Latin-1; the signature is over the bytes, and smithy writes its text as UTF-8. */
function asText(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}
