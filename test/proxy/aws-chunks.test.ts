import { createHash, createHmac } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { AlterError } from '../../core/errors.ts';
import { type ChunkRules, resignChunks } from '../../proxy/aws/aws-chunks.ts';
import { AwsSigner } from '../../proxy/aws/aws-signer.ts';
import { SigningMemory } from '../../proxy/aws/signed-body.ts';

/* The two examples that AWS publishes for an upload of 65 KiB in three signed chunks, without and with trailers. */
const signer = new AwsSigner({
  scope: { service: 's3', region: 'us-east-1' },
  fields: {
    access_key_id: 'AKIAIOSFODNN7EXAMPLE',
    secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  },
  now: Date.UTC(2013, 4, 24),
  isS3: true,
});
const plain = {
  seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  chunks: [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ],
};
const withTrailers = {
  seed: '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
  chunks: [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
  ],
  trailer: 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
};
const dummy = 'd'.repeat(64);
const first = 'a'.repeat(65_536);
const second = 'a'.repeat(1_024);

function body(signatures: readonly string[], ending: string): string {
  const [a, b, c] = signatures;
  const head = (size: string, signature = ''): string => `${size};chunk-signature=${signature}\r\n`;
  return `${head('10000', a)}${first}\r\n${head('400', b)}${second}\r\n${head('0', c)}${ending}`;
}

async function resign(text: string, more: Partial<ChunkRules> = {}, pieceBytes = 7_919): Promise<string> {
  const bytes = Buffer.from(text, 'latin1');
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  );
  const memory = new SigningMemory(1_000_000);
  const source = Readable.from(pieces, { objectMode: false });
  const rules = { signer, seed: plain.seed, hasTrailers: false, maxChunkBytes: 100_000, memory, ...more };
  const out: Buffer[] = [];
  try {
    for await (const chunk of resignChunks(source, rules)) out.push(chunk as Buffer);
  } finally {
    expect(rules.memory.usedBytes).toBe(0);
  }
  return Buffer.concat(out).toString('latin1');
}

function codeOf(failure: unknown): string {
  return failure instanceof AlterError ? failure.code : String(failure);
}

describe('a body that is signed in chunks', () => {
  it.each([1_000_000, 7_919, 64, 3])('gets the signatures of the published example, in pieces of %i', async (piece) => {
    const given = body([dummy, dummy, dummy], '\r\n');
    const signed = await resign(given, {}, piece);
    expect(signed === body(plain.chunks, '\r\n')).toBe(true);
    expect(signed).toHaveLength(66_824); // the Content-Length of the example
  });

  const ending = (signature: string, lines = 'x-amz-checksum-crc32c:sOO8/Q==\r\n'): string =>
    `${lines}x-amz-trailer-signature:${signature}\r\n\r\n`;

  it('gets the signatures of the published example with trailers', async () => {
    const given = body([dummy, dummy, dummy], ending(dummy));
    const signed = await resign(given, { seed: withTrailers.seed, hasTrailers: true });
    expect(signed === body(withTrailers.chunks, ending(withTrailers.trailer))).toBe(true);
  });

  it('may have trailers in the other spellings that clients use, which stay as they are', async () => {
    const spellings = ['x-amz-checksum-crc32c:sOO8/Q==\n\r\n', 'X-Amz-Checksum-CRC32C: sOO8/Q==\r\n'];
    for (const lines of spellings) {
      const given = body([dummy, dummy, dummy], ending(dummy, lines));
      const signed = await resign(given, { seed: withTrailers.seed, hasTrailers: true });
      expect(signed === body(withTrailers.chunks, ending(withTrailers.trailer, lines))).toBe(true);
    }
  });

  it('signs several trailers in the order of their names', async () => {
    const lines = 'x-amz-meta-b:2\r\nx-amz-checksum-sha1:1\r\n';
    const signed = await resign(`0;chunk-signature=${dummy}\r\n${ending(dummy, lines)}`, { hasTrailers: true });
    const previous = /chunk-signature=(\w+)/.exec(signed)![1]!;
    const digest = createHash('sha256').update('x-amz-checksum-sha1:1\nx-amz-meta-b:2\n').digest('hex');
    const scope = '20130524/us-east-1/s3/aws4_request';
    const text = `AWS4-HMAC-SHA256-TRAILER\n20130524T000000Z\n${scope}\n${previous}\n${digest}`;
    let derived: string | Buffer = 'AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
    for (const word of scope.split('/')) derived = createHmac('sha256', derived).update(word).digest();
    expect(signed).toContain(`trailer-signature:${createHmac('sha256', derived).update(text).digest('hex')}`);
  });

  it('may be empty', async () => {
    const signed = await resign(`0;chunk-signature=${dummy}\r\n\r\n`);
    expect(signed).toMatch(/^0;chunk-signature=[0-9a-f]{64}\r\n\r\n$/);
  });

  const chunk = (size: string, data: string): string => `${size};chunk-signature=${dummy}\r\n${data}`;
  it.each([
    ['nothing', ''],
    ['no chunk', 'hello'],
    ['ordinary chunks', '5\r\nhello\r\n0\r\n\r\n'],
    ['no last chunk', chunk('5', 'hello\r\n')],
    ['a chunk that is cut', chunk('5', 'hel')],
    ['a chunk that is longer than its size', chunk('5', 'hello!\r\n') + chunk('0', '\r\n')],
    ['a size that is signed', chunk('+5', 'hello\r\n') + chunk('0', '\r\n')],
    ['a size in 0x', chunk('0x5', 'hello\r\n') + chunk('0', '\r\n')],
    ['bare line feeds', chunk('5', 'hello\r\n').replace('\r\n', '\n') + chunk('0', '\r\n')],
    ['a signature that is short', `5;chunk-signature=abc\r\nhello\r\n${chunk('0', '\r\n')}`],
    ['another extension', `5;a=b;chunk-signature=${dummy}\r\nhello\r\n${chunk('0', '\r\n')}`],
    ['more after its end', `${chunk('0', '\r\n')}GET / HTTP/1.1\r\n\r\n`],
    ['trailers that were not announced', chunk('0', ending(dummy))],
    ['a line without end', `5;${'x'.repeat(10_000)}`],
  ])('of another form is refused: %s', async (_what, given) => {
    expect(codeOf(await resign(given).catch((error: unknown) => error))).toBe('request_malformed');
  });

  it.each([
    ['no signature', 'x-amz-checksum-crc32:AAAAAA==\r\n\r\n'],
    ['a line that is no trailer', ending(dummy, 'hello\r\n')],
    ['more after their end', `${ending(dummy)}GET / HTTP/1.1\r\n\r\n`],
    ['too many of them', ending(dummy, 'x-amz-meta-a:1\r\n'.repeat(1_000))],
  ])('with trailers of another form is refused: %s', async (_what, lines) => {
    const failure = await resign(chunk('0', lines), { hasTrailers: true }).catch((error: unknown) => error);
    expect(codeOf(failure)).toBe('request_malformed');
  });

  it('with a chunk beyond the limit is refused before the chunk is held', async () => {
    const memory = new SigningMemory(100);
    const big = chunk('100001', 'x');
    expect(codeOf(await resign(big, { memory }).catch((error: unknown) => error))).toBe('body_too_large_to_sign');
    expect(codeOf(await resign(chunk('65', 'x'), { memory }).catch((error: unknown) => error))).toBe('overloaded');
  });

  it('is read no faster than it is sent on', async () => {
    let read = 0;
    const source = Readable.from(
      (function* () {
        for (; read < 1_000; read++) yield Buffer.from(chunk('10000', `${first}\r\n`));
      })(),
      { objectMode: false, highWaterMark: 0 },
    );
    const memory = new SigningMemory(1_000_000);
    const signed = resignChunks(source, {
      signer,
      seed: plain.seed,
      hasTrailers: false,
      maxChunkBytes: 65_536,
      memory,
    });
    const iterator = signed[Symbol.asyncIterator]();
    await iterator.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(read).toBeLessThan(6);
    expect(memory.usedBytes).toBeLessThanOrEqual(2 * 65_536);
    await iterator.return?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(memory.usedBytes).toBe(0);
  });
});
