import { createHash } from 'node:crypto';
import { AlterError } from '../../core/errors.ts';

/** RFC 6455 section 1.3: the server proves with it that it read the handshake as one of a WebSocket. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes in base64, as every client sends them. */
const keyShape = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/**
 * Refuses a request for a WebSocket that is not one by RFC 6455 section 4.1: an upstream that would take it for something
 * else would go on reading HTTP where the two ends have stopped to. Throws `request_malformed`.
 */
export function checkHandshake(of: {
  readonly method: string;
  readonly httpVersion: string;
  readonly hasBody: boolean;
  /** Flat, end to end. */
  readonly headers: readonly string[];
}): void {
  if (of.method !== 'GET' || of.httpVersion !== '1.1' || of.hasBody)
    throw new AlterError('request_malformed', {
      detail: 'A WebSocket is asked for with a GET of HTTP/1.1, without a body.',
    });
  findKey(of.headers);
  if (valuesOf(of.headers, 'sec-websocket-version').join() !== '13')
    throw new AlterError('request_malformed', { detail: 'Sec-WebSocket-Version must be there once, and be 13.' });
}

/** The key of the client. Throws `request_malformed` where there is not exactly one. */
export function findKey(headers: readonly string[]): string {
  const keys = valuesOf(headers, 'sec-websocket-key');
  if (keys.length !== 1 || !keyShape.test(keys[0]!))
    throw new AlterError('request_malformed', {
      detail: 'Sec-WebSocket-Key must be there once, and hold 16 bytes in base64.',
    });
  return keys[0]!;
}

/** Whether the head of a 101 says that this server took this handshake for a WebSocket, and nothing else. */
export function isAccepted(rawHeaders: readonly string[], key: string): boolean {
  const accept = createHash('sha1').update(`${key}${acceptSuffix}`).digest('base64');
  return (
    valuesOf(rawHeaders, 'sec-websocket-accept').join() === accept &&
    valuesOf(rawHeaders, 'upgrade').join().toLowerCase() === 'websocket' &&
    valuesOf(rawHeaders, 'connection')
      .join()
      .split(',')
      .some((token) => token.trim().toLowerCase() === 'upgrade')
  );
}

function valuesOf(headers: readonly string[], name: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === name);
}
