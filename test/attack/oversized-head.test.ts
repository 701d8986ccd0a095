import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { basic, exchangeRaw, mustOpen, type RawResponse } from '../support/tunnel-client.ts';

/*
 * Filling memory, or slipping past a check, with a head that has no end: what is within the limits works, one more is
 * refused with a code, and nothing of it reaches the upstream.
 */
const maxBytes = 8_192;
const maxHeaders = 20;

describe('the head of a request', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open({
      settings: { ALTER_MAX_HEADER_BYTES: String(maxBytes), ALTER_MAX_HEADERS: String(maxHeaders) },
    });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  beforeEach(() => rig.sink().forget());
  afterAll(() => rig?.close());

  const send = async (of: { target?: string; lines?: readonly string[] }): Promise<RawResponse> => {
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: rig.authorityOf(),
      key,
      serverName: 'a.test',
      ca: rig.service.authorityPem,
    });
    const head = [
      `GET ${of.target ?? '/p'} HTTP/1.1`,
      `Host: ${rig.authorityOf()}`,
      `X-Alter-Grant: ${secret.grantId}`,
      ...(of.lines ?? []),
    ];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return answer;
  };
  const fillers = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-N-${i}: 1`);

  it('may have as many headers as the limit says, and not one more', async () => {
    expect((await send({ lines: fillers(maxHeaders - 2) })).status).toBe(200);
    rig.sink().forget();
    const answer = await send({ lines: fillers(maxHeaders - 1) });
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([431, 'headers_too_large']);
    expect(rig.sink().raw).toHaveLength(0);
  });

  it.each([
    ['a long value', { lines: [`X-Long: ${'a'.repeat(maxBytes)}`] }],
    ['a long name', { lines: [`X-${'a'.repeat(maxBytes)}: 1`] }],
    ['a long target', { target: `/${'a'.repeat(maxBytes)}` }],
    ['many bytes in few headers', { lines: Array.from({ length: 9 }, (_, i) => `X-${i}: ${'a'.repeat(1_000)}`) }],
  ])('is refused beyond its bytes: %s', async (_, of) => {
    const answer = await send(of);
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([431, 'headers_too_large']);
    expect(rig.sink().raw).toHaveLength(0);
  });

  it('is refused on the proxy port as well', async () => {
    const answer = await exchangeRaw(
      rig.proxyPort,
      `CONNECT ${rig.authorityOf()} HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nProxy-Authorization: ${basic('x', key)}\r\nX-Long: ${'a'.repeat(maxBytes)}\r\n\r\n`,
    );
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([431, 'headers_too_large']);
  });
});
