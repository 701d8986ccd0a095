import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inParallel } from '../support/in-parallel.ts';
import { askPython, findPythonWith } from '../support/python.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import type { SeenRequest } from '../support/sink.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * Random requests through the proxy, as hostile to a signer as the wire allows, and botocore's word on each of them. The
 * hosts are AWS's own names, so region and service come from them.
 */

const requestCount = 2_000;
const s3Host = 'bucket.name.s3.eu-west-1.amazonaws.com';
const otherHost = 'a1b2c3.execute-api.ap-southeast-2.amazonaws.com';
const credential = { access_key_id: 'AKIDORACLE', secret_access_key: 'wJalr XUtnFEMI/K7MDENG+bPxRfiCY=' };
const python = findPythonWith('botocore');
const seed = Number(process.env.SIGV4_SEED ?? Date.now() % 1_000_000_000);

interface Question {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly secretKey: string;
  readonly s3: boolean;
}
interface Verdict {
  readonly signature: string;
  readonly signed: readonly string[];
  readonly canonical: string;
}

describe('Signature V4', () => {
  let rig: Rig;
  let s3: StoredSecret;
  let other: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({ sinks: [s3Host, otherHost], settings: { ALTER_AUDIT: 'buffered' } });
    const store = (host: string, more: Record<string, string>): Promise<StoredSecret> =>
      rig.storeSecret({
        hosts: [rig.authorityOf(host)],
        body: { credential_type: 'aws_sig_v4', credentials: { ...credential, ...more } },
      });
    s3 = await store(s3Host, {});
    other = await store(otherHost, { session_token: 'IQoJb3JpZ2luX2VjEJ//==' });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  const sendAll = async (host: string, secret: StoredSecret, requests: readonly RandomRequest[]): Promise<void> => {
    const lanes = Array.from({ length: 8 }, (_, lane) => requests.filter((_, index) => index % 8 === lane));
    await inParallel(lanes, lanes.length, async (lane) => {
      const tunnel = await mustOpen({
        proxyPort: rig.proxyPort,
        target: rig.authorityOf(host),
        key,
        serverName: host,
        ca: rig.service.authorityPem,
      });
      for (const request of lane) {
        const head = [
          `${request.method} ${request.target} HTTP/1.1`,
          `Host: ${rig.authorityOf(host)}`,
          `X-Alter-Grant: ${secret.grantId}`,
          ...request.lines,
        ];
        tunnel.socket.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), request.body]));
        const answer = await tunnel.reader.next({ bodyless: request.method === 'HEAD' });
        if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body} for ${head.join('\n')}`);
      }
      tunnel.socket.destroy();
    });
  };

  it(`leaves only what the client sent besides its signature, and signs the body that left (seed ${seed})`, async () => {
    const random = new Random(seed);
    const requests = Array.from({ length: requestCount }, (_, index) => randomRequest(random, index));
    await sendAll(s3Host, s3, requests.slice(0, requestCount / 2));
    await sendAll(otherHost, other, requests.slice(requestCount / 2));
    const seen = [...rig.sink(s3Host).requests, ...rig.sink(otherHost).requests];
    expect(seen).toHaveLength(requestCount);
    for (const request of seen) {
      const sent = requests[Number(request.all('x-test')[0])]!;
      expect(request.body.equals(sent.plainBody)).toBe(true);
      for (const name of ['authorization', 'x-amz-date', 'x-amz-content-sha256'])
        expect([name, request.all(name).length]).toEqual([name, 1]);
      const [hash] = request.all('x-amz-content-sha256');
      if (hash !== 'UNSIGNED-PAYLOAD') expect(hash).toBe(createHash('sha256').update(sent.plainBody).digest('hex'));
      expect(request.all('authorization')[0]).toContain('Credential=AKIDORACLE/');
      expect(JSON.stringify([request.url, request.rawHeaders])).not.toMatch(/AKIDCLIENT|client-token|19990101/);
      const names = signedNames(request);
      expect(names).toContain('host');
      for (const [name] of pairs(request.rawHeaders))
        if (/^(?:x-amz-|content-type$|content-md5$|range$)/i.test(name)) expect(names).toContain(name.toLowerCase());
    }
  });

  const title = `agrees with botocore on ${requestCount} random requests (seed ${seed})`;
  if (python === null) it.skip(`${title}: skipped, no Python here has botocore`, () => {});
  else
    it(title, async () => {
      process.stderr.write(`SIGV4_SEED=${seed}\n`);
      const seen = [
        ...rig.sink(s3Host).requests.map((request) => toQuestion(request, true)),
        ...rig.sink(otherHost).requests.map((request) => toQuestion(request, false)),
      ];
      expect(seen).toHaveLength(requestCount);
      const verdicts = await askPython<Question, Verdict>(python, './sigv4-oracle.py', seen);
      expect(verdicts).toHaveLength(requestCount);
      const wrong = seen.flatMap((question, index) => {
        const authorization = question.headers.find(([name]) => name.toLowerCase() === 'authorization')![1];
        const { signature, canonical } = verdicts[index]!;
        return authorization.endsWith(`Signature=${signature}`) ? [] : [{ ...question, canonical }];
      });
      expect(wrong.slice(0, 3)).toEqual([]);

      const [first] = await askPython<Question, Verdict>(python, './sigv4-oracle.py', [
        { ...seen[0]!, secretKey: 'another' },
      ]);
      expect(first!.signature).not.toBe(verdicts[0]!.signature);
    });

  const toQuestion = (request: SeenRequest, isS3: boolean): Question => ({
    method: request.method,
    target: request.url,
    headers: pairs(request.rawHeaders),
    secretKey: credential.secret_access_key,
    s3: isS3,
  });
});

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, flat[i + 1]!]] : []));
}

function signedNames(request: SeenRequest): string[] {
  return /SignedHeaders=([^,]+)/.exec(request.all('authorization')[0]!)![1]!.split(';');
}

/** The same numbers for the same seed (mulberry32). */
class Random {
  #state: number;

  constructor(seedNumber: number) {
    this.#state = seedNumber;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, make);
  }
}

interface RandomRequest {
  readonly method: string;
  readonly target: string;
  readonly lines: readonly string[];
  readonly body: Buffer;
  /** Without the framing of chunked. */
  readonly plainBody: Buffer;
}

const atoms = [
  ...['a', 'Z', '0', '-', '.', '_', '~', 'key', 'photo 1', 'ü', '日本', '💥', '%', '/', '&', '=', '+', '?', '#'],
  ...['..', '.', "'", '(', ')', '*', '!', ';', ':', '@', ',', '$', '\u0000', '\u007f', 'x-amz-date'],
];
/** What may stand in a target unencoded, although a client should encode some of it. */
const rawAtoms = ['a', 'b-c', '%2F', '%2f', '%c3%bc', '%C3%BC', '%ff', '%7E', '%41', '%zz', '%', '!', "'", '(', ')'];
const rawQueryAtoms = [
  ...rawAtoms,
  '*',
  ',',
  ':',
  '@',
  '$',
  '+',
  ';',
  '/',
  '?',
  '|',
  '"',
  '<',
  '[',
  ']',
  '{',
  '^',
  '`',
];

function randomRequest(random: Random, index: number): RandomRequest {
  const method = random.pick(['GET', 'GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS']);
  const encoded = (): string =>
    random.list(4, () => encodeURIComponent(random.pick(atoms))).join('') || random.pick(['', 'x']);
  const raw = (from: readonly string[]): string => random.list(4, () => random.pick(from)).join('');
  const segment = (): string => (random.below(3) === 0 ? raw([...rawAtoms, ':', '@', '..', '.', '$']) : encoded());
  const part = (): string => (random.below(3) === 0 ? raw(rawQueryAtoms) : encoded());
  const path = `/${random.list(5, segment).join('/')}${random.pick(['', '', '/', '//'])}`;
  const names = ['prefix', 'list-type', 'uploads', '', 'a', 'A', 'ä', 'x-id'];
  const parameters = random.list(6, () => {
    const name = random.below(2) === 0 ? encodeURIComponent(random.pick(names)) : part().replaceAll('=', '');
    return random.pick([`${name}=${part()}`, `${name}=`, name, `${name}=${part()}&${name}=${part()}&${name}=`]);
  });
  if (random.below(4) === 0)
    parameters.push('X-Amz-Credential=AKIDCLIENT%2F19990101', 'X-Amz-Signature=0', 'x-amz-%64ate=19990101T000000Z');
  const query = random.below(3) === 0 ? '' : `?${parameters.join('&')}`;

  const lines = [`X-Test: ${index}`, 'X-Amz-Date: 19990101T000000Z'];
  if (random.below(2) === 0) lines.push('Authorization: AWS4-HMAC-SHA256 Credential=AKIDCLIENT/1/2/3/aws4_request');
  if (random.below(3) === 0) lines.push('x-amz-security-token: client-token', 'Date: 19990101');
  if (random.below(3) === 0) lines.push(`x-amz-meta-a:   two  spaces \t ${random.below(9)}  `);
  if (random.below(4) === 0) lines.push('x-amz-meta-twice: 1', 'X-Amz-Meta-Twice: 2', 'x-amz-meta-empty:');
  if (random.below(4) === 0) lines.push(`x-amz-meta-utf8: ${Buffer.from('grün').toString('latin1')}`);
  if (random.below(3) === 0) lines.push('Content-Type: application/json; charset=utf-8');
  if (random.below(5) === 0) lines.push('Range: bytes=0-9', 'Cache-Control: no-cache', 'User-Agent: test/1.0');

  const mayHaveBody = method !== 'HEAD' && random.below(2) === 0;
  const plainBody = mayHaveBody ? Buffer.alloc(random.below(3_000), random.below(256)) : Buffer.alloc(0);
  const declared = random.below(4);
  if (declared === 0) lines.push(`X-Amz-Content-SHA256: ${createHash('sha256').update(plainBody).digest('hex')}`);
  if (declared === 1) lines.push('x-amz-content-sha256: UNSIGNED-PAYLOAD');
  let body = plainBody;
  if (mayHaveBody && random.below(3) === 0) {
    lines.push('Transfer-Encoding: chunked');
    const size = plainBody.length.toString(16);
    const data = plainBody.length === 0 ? [] : [Buffer.from(`${size}\r\n`), plainBody, Buffer.from('\r\n')];
    body = Buffer.concat([...data, Buffer.from('0\r\n\r\n')]);
  } else if (mayHaveBody) lines.push(`Content-Length: ${plainBody.length}`);
  return { method, target: path + query, lines, body, plainBody };
}
