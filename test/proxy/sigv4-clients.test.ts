import { spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endWithUs } from '../support/end-with-us.ts';
import { findPythonWith } from '../support/python.ts';
import { Rig, run, type StoredSecret } from '../support/rig.ts';
import { TestAuthority } from '../support/sink.ts';
import { mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * Real clients with keys that mean nothing, through the proxy, at a server that verifies signatures. Its name is one of
 * AWS's, so the region and the service come from it.
 */

const s3Host = 's3.eu-west-1.amazonaws.com';
const recorder = 'recorder.s3.eu-west-1.amazonaws.com';
const python = findPythonWith('boto3');
const hasAws = spawnSync('aws', ['--version'], { stdio: 'ignore' }).status === 0;

function script(name: string): string {
  return fileURLToPath(new URL(`../support/${name}`, import.meta.url));
}

interface S3Process {
  readonly port: number;
  stop(): Promise<void>;
}

async function startS3(directory: string, buckets: readonly string[]): Promise<S3Process> {
  const child = spawn(process.execPath, [script('s3-server.ts'), directory, ...buckets], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithUs(child);
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk;
  });
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk)));
    child.once('close', () => reject(new Error(`the S3 server did not start: ${err}`)));
  });
  return {
    port,
    stop: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

describe('clients that sign with keys that mean nothing', () => {
  let rig: Rig;
  let s3: S3Process;
  let directory: string;
  let right: StoredSecret;
  let wrong: StoredSecret;
  let recorded: StoredSecret;
  let key: string;
  let endpoint: string;

  beforeAll(async () => {
    const authority = await TestAuthority.create();
    const leaf = authority.leafFor(s3Host);
    directory = await mkdtemp(join(tmpdir(), 'alter-s3-'));
    await writeFile(join(directory, 's3.key'), leaf.privateKeyPem);
    await writeFile(join(directory, 's3.crt'), leaf.chainPem);
    s3 = await startS3(directory, ['uploads', 'cli', 'sdk', 'raw']);
    endpoint = `https://${s3Host}:${s3.port}`;
    rig = await Rig.open({
      sinks: [recorder],
      alsoAllow: `127.0.0.1:${s3.port}`,
      alsoResolve: [s3Host],
      authority,
    });
    const store = (host: string, secret: string): Promise<StoredSecret> =>
      rig.storeSecret({
        hosts: [host],
        body: {
          credential_type: 'aws_sig_v4',
          credentials: { access_key_id: 'S3RVER', secret_access_key: secret },
        },
      });
    right = await store(`${s3Host}:${s3.port}`, 'S3RVER');
    wrong = await store(`${s3Host}:${s3.port}`, 'not S3RVER');
    recorded = await store(rig.authorityOf(recorder), 'S3RVER');
    key = (await rig.mintKey()).key;
  });
  afterAll(async () => {
    await rig?.close();
    await s3?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const environment = (secret: StoredSecret, more: Record<string, string> = {}): Record<string, string> => ({
    PATH: process.env.PATH ?? '',
    HOME: directory,
    LANG: 'C.UTF-8',
    HTTPS_PROXY: `http://${secret.grantId}:${key}@127.0.0.1:${rig.proxyPort}`,
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: rig.caFile,
    AWS_CA_BUNDLE: rig.caFile,
    AWS_ACCESS_KEY_ID: 'AKIDDUMMY',
    AWS_SECRET_ACCESS_KEY: 'dummy',
    AWS_REGION: 'eu-west-1',
    AWS_DEFAULT_REGION: 'eu-west-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    // The server does not know the trailers that clients else send; the recorder below gets them.
    AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
    AWS_RESPONSE_CHECKSUM_VALIDATION: 'when_required',
    ...more,
  });

  const when =
    (isPossible: boolean, lack: string) =>
    (title: string, work: () => Promise<void>): void => {
      if (isPossible) it(title, work);
      else it.skip(`${title} (skipped: ${lack})`, work);
    };
  /** The methods of what was sent to change this key: two parts are POST, PUT, PUT, POST. */
  const uploadsOf = async (path: string): Promise<string[]> => {
    const page = await rig.admin<{ items: { method: string; path: string; event: string }[] }>(
      'GET',
      '/audit?limit=500',
    );
    const decided = page.items.filter((event) => event.path === path && /^P/.test(event.method));
    return [...new Set(decided.map((event) => event.event))]
      .flatMap((name, index) =>
        index > 0 ? [] : decided.filter((event) => event.event === name).map((event) => event.method),
      )
      .sort();
  };

  const withBoto3 = when(python !== null, 'no Python here has boto3');
  const withAws = when(hasAws, 'there is no aws command here');

  withBoto3('boto3 puts, gets, lists, uploads in parts and deletes', async () => {
    const done = await run(python!, [script('s3-boto3.py'), endpoint, 'uploads'], environment(right));
    expect(done.stderr).toBe('');
    const seen = JSON.parse(done.stdout) as Record<string, unknown>;
    expect(seen).toMatchObject({ under: ["a b/c+d ~!'()*.txt"], same: true });
    expect(await uploadsOf('/uploads/ten')).toEqual(['POST', 'POST', 'PUT', 'PUT']);
    expect(seen.keys).toEqual(expect.arrayContaining(['plain.txt', "a b/c+d ~!'()*.txt", 'grün/日本/💥.txt']));
    expect(seen.left).not.toContain('plain.txt');
    expect(seen.left).not.toContain('ten');
  });

  withBoto3('boto3 fails with a credential whose secret is wrong, so the server does verify', async () => {
    const done = await run(python!, [script('s3-boto3.py'), endpoint, 'uploads'], environment(wrong));
    expect(done.code).not.toBe(0);
    expect(done.stderr).toContain('SignatureDoesNotMatch');
  });

  withAws('the AWS CLI puts, gets, lists, uploads in parts and deletes', async () => {
    const config =
      '[default]\ns3 =\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n  addressing_style = path\n';
    await writeFile(join(directory, 'aws-config'), config);
    await writeFile(join(directory, 'ten.bin'), randomBytes(10 * 1024 * 1024));
    await writeFile(join(directory, 'small.txt'), 'hello');
    const env = environment(right, { AWS_CONFIG_FILE: join(directory, 'aws-config') });
    const aws = async (...words: string[]): Promise<string> => {
      const done = await run('aws', ['--endpoint-url', endpoint, ...words], env);
      if (done.code !== 0) throw new Error(`aws ${words.join(' ')}: ${done.stderr}`);
      return done.stdout;
    };
    await aws('s3', 'cp', join(directory, 'small.txt'), 's3://cli/grün/a b+c.txt');
    await aws('s3', 'cp', join(directory, 'ten.bin'), 's3://cli/ten.bin');
    expect(await uploadsOf('/cli/ten.bin')).toEqual(['POST', 'POST', 'PUT', 'PUT']);
    const head = JSON.parse(await aws('s3api', 'head-object', '--bucket', 'cli', '--key', 'ten.bin')) as object;
    expect(head).toMatchObject({ ContentLength: 10 * 1024 * 1024 });
    expect(await aws('s3', 'cp', 's3://cli/grün/a b+c.txt', '-')).toBe('hello');
    expect(await aws('s3', 'ls', '--recursive', 's3://cli/')).toContain('grün/a b+c.txt');
    await aws('s3', 'rm', '--recursive', 's3://cli/');
    expect(await aws('s3api', 'list-objects-v2', '--bucket', 'cli', '--query', 'KeyCount')).toMatch(/^(?:0|null|)\s*$/);
  });

  it('the AWS SDK for JavaScript puts, gets, uploads in parts and deletes', async () => {
    const done = await run(process.execPath, [script('s3-sdk-v3.ts'), endpoint, 'sdk', 'all'], environment(right));
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(JSON.parse(done.stdout)).toEqual({ parts: 2, same: true, gone: true, kept: true });
  });

  it('the AWS SDK for JavaScript fails with a credential whose secret is wrong', async () => {
    const done = await run(process.execPath, [script('s3-sdk-v3.ts'), endpoint, 'sdk', 'all'], environment(wrong));
    expect(done.code).not.toBe(0);
    expect(done.stderr).toContain('SignatureDoesNotMatch');
  });

  it('the AWS SDK for JavaScript lists, and uploads with a trailer that arrives as it was made', async () => {
    rig.sink(recorder).forget();
    rig.sink(recorder).answer = (req, res) => {
      res.end(req.method === 'GET' ? '<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>' : '');
    };
    const at = `https://${rig.authorityOf(recorder)}`;
    const usual = { AWS_REQUEST_CHECKSUM_CALCULATION: 'when_supported' };
    const done = await run(process.execPath, [script('s3-sdk-v3.ts'), at, 'b', 'more'], environment(recorded, usual));
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(JSON.parse(done.stdout)).toEqual({ sent: 150_000, listed: ['k'] });
    const [list, request] = rig.sink(recorder).requests;
    expect(list!.url).toBe('/b/?delimiter=%2F&list-type=2&prefix=gr%C3%BCn%2Fa%20b%2B');
    expect(request!.all('x-amz-content-sha256')).toEqual(['STREAMING-UNSIGNED-PAYLOAD-TRAILER']);
    expect(request!.all('x-amz-trailer')).toEqual(['x-amz-checksum-crc32']);
    expect(request!.all('content-encoding')).toEqual(['aws-chunked']);
    expect(request!.body.toString('latin1')).toMatch(/\r\n0\r\nx-amz-checksum-crc32:[\w+/]{6}==\r\n\r\n$/);
    expect(request!.all('authorization')).toEqual([
      expect.stringMatching(/^AWS4-HMAC-SHA256 Credential=S3RVER\/\d{8}\/eu-west-1\/s3\/aws4_request, .*x-amz-trailer/),
    ]);
  });

  const dummy = '0'.repeat(64);
  const send = async (secret: StoredSecret, authority: string, head: string[], body: Buffer): Promise<RawResponse> => {
    const serverName = authority.split(':')[0]!;
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: authority,
      key,
      serverName,
      ca: rig.service.authorityPem,
    });
    const lines = [head[0], `Host: ${authority}`, `X-Alter-Grant: ${secret.grantId}`, ...head.slice(1)];
    tunnel.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    for (let at = 0; at < body.length; at += 50_000) tunnel.socket.write(body.subarray(at, at + 50_000));
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return answer;
  };
  const chunkedBody = (sizes: readonly number[], ending = '\r\n'): Buffer =>
    Buffer.concat([
      ...sizes.map((size) =>
        Buffer.concat([
          Buffer.from(`${size.toString(16)};chunk-signature=${dummy}\r\n`),
          Buffer.alloc(size, 'c'),
          Buffer.from('\r\n'),
        ]),
      ),
      Buffer.from(`0;chunk-signature=${dummy}\r\n${ending}`),
    ]);
  const chunkedHead = (path: string, kind: string, body: Buffer, decoded: number): string[] => [
    `PUT ${path} HTTP/1.1`,
    `X-Amz-Content-Sha256: ${kind}`,
    'Content-Encoding: aws-chunked',
    `X-Amz-Decoded-Content-Length: ${decoded}`,
    `Content-Length: ${body.length}`,
    'X-Amz-Date: 19990101T000000Z',
    'Authorization: AWS4-HMAC-SHA256 Credential=x/19990101/r/s3/aws4_request, SignedHeaders=host, Signature=0',
  ];

  it('an upload in signed chunks is signed again chunk by chunk, and accepted', async () => {
    const body = chunkedBody([65_536, 65_536, 200_000, 17]);
    const decoded = 65_536 * 2 + 200_017;
    const head = chunkedHead('/raw/chunked', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', body, decoded);
    const answer = await send(right, `${s3Host}:${s3.port}`, head, body);
    expect([answer.status, answer.body]).toEqual([200, '']);
    const back = await send(right, `${s3Host}:${s3.port}`, ['GET /raw/chunked HTTP/1.1'], Buffer.alloc(0));
    expect(back.body === 'c'.repeat(decoded)).toBe(true);
    const refused = await send(wrong, `${s3Host}:${s3.port}`, head, body);
    expect(refused.status).toBe(403);
  });

  it.each(['Content-Length', 'Transfer-Encoding'])('signed chunks with a trailer verify, with %s', async (framing) => {
    rig.sink(recorder).forget();
    const ending = `x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:${dummy}\r\n\r\n`;
    const body = chunkedBody([65_536, 8_192, 3], ending);
    const head = chunkedHead('/trailers', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', body, 73_731);
    head.push('X-Amz-Trailer: x-amz-checksum-crc32c');
    const framed =
      framing === 'Content-Length'
        ? head
        : head.map((line) => line.replace(/^Content-Length.*/, 'Transfer-Encoding: chunked'));
    const wire =
      framing === 'Content-Length'
        ? body
        : Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
    expect((await send(recorded, rig.authorityOf(recorder), framed, wire)).status).toBe(200);
    const [request] = rig.sink(recorder).requests;
    expect(request!.body).toHaveLength(body.length);
    expect(verifyChunks(request!.body, request!.all('authorization')[0]!, request!.all('x-amz-date')[0]!)).toBe(4);
  });
});

/** Checks every signature of a body by hand, the trailer's too; gives the number of chunks. */
function verifyChunks(body: Buffer, authorization: string, date: string): number {
  const scope = /Credential=[^/]+\/([^,]+),/.exec(authorization)![1]!;
  let key: string | Buffer = 'AWS4S3RVER';
  for (const word of scope.split('/')) key = createHmac('sha256', key).update(word).digest();
  const sha = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
  const sign = (...lines: string[]): string => createHmac('sha256', key).update(lines.join('\n')).digest('hex');
  let previous = authorization.slice(-64);
  let rest = body;
  for (let count = 1; ; count++) {
    const head = /^([0-9a-f]+);chunk-signature=([0-9a-f]{64})\r\n/.exec(rest.toString('latin1', 0, 100))!;
    const size = Number.parseInt(head[1]!, 16);
    const data = rest.subarray(head[0].length, head[0].length + size);
    previous = sign('AWS4-HMAC-SHA256-PAYLOAD', date, scope, previous, sha(''), sha(data));
    expect([count, head[2]]).toEqual([count, previous]);
    rest = rest.subarray(head[0].length + size);
    if (size > 0) {
      expect(rest.toString('latin1', 0, 2)).toBe('\r\n');
      rest = rest.subarray(2);
      continue;
    }
    const trailers = /^((?:[^:\r\n]+:[^\r\n]+\r\n)+)x-amz-trailer-signature:([0-9a-f]{64})\r\n\r\n$/.exec(
      rest.toString(),
    )!;
    const digest = sha(trailers[1]!.replaceAll('\r\n', '\n'));
    expect(trailers[2]).toBe(sign('AWS4-HMAC-SHA256-TRAILER', date, scope, previous, digest));
    return count;
  }
}
