import { createHash, createHmac } from 'node:crypto';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

/**
 * The headers of a call that this service makes to AWS by itself, signed with Signature V4: a POST to `/` without a query,
 * as KMS and STS take them. What workloads send is another matter, with its own signer. `headers` have lower-case names,
 * and `now` is in milliseconds since the epoch.
 */
export function signAwsPost(of: {
  readonly host: string;
  readonly region: string;
  readonly service: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly credentials: AwsCredentials;
  readonly now: number;
}): Record<string, string> {
  const { region, service, credentials } = of;
  const date = new Date(of.now).toISOString().replace(/\.\d+|[-:]/g, '');
  const headers: Record<string, string> = {
    ...of.headers,
    host: of.host,
    'x-amz-date': date,
    ...(credentials.sessionToken === null ? {} : { 'x-amz-security-token': credentials.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const signed = names.join(';');
  const lines = names.map((name) => `${name}:${headers[name]!.trim().replace(/ +/g, ' ')}`);
  const canonical = ['POST', '/', '', ...lines, '', signed, sha256(of.body)].join('\n');
  const day = date.slice(0, 8);
  const scope = `${day}/${region}/${service}/aws4_request`;
  let key: Buffer | string = `AWS4${credentials.secretAccessKey}`;
  for (const part of [day, region, service, 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(Buffer.from(canonical))].join('\n');
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
  return { ...headers, authorization };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
