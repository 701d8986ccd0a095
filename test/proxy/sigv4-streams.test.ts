import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { TestAuthority } from '../support/sink.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/* An upload in signed chunks that one of its ends gives up half-way; the upstream is a socket that does as it is told. */

const host = 'bucket.s3.eu-west-1.amazonaws.com';
const dummy = '0'.repeat(64);
const chunk = `10000;chunk-signature=${dummy}\r\n${'c'.repeat(65_536)}\r\n`;

describe('an upload in signed chunks', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let upstream: Server;
  let port: number;
  let onSocket: (socket: TLSSocket) => void = () => {};

  beforeAll(async () => {
    const authority = await TestAuthority.create();
    const leaf = authority.leafFor(host);
    upstream = createServer({ cert: leaf.chainPem, key: leaf.privateKeyPem }, (socket) => {
      socket.on('error', () => {});
      onSocket(socket);
    });
    await new Promise<void>((resolve) => {
      upstream.listen(0, '127.0.0.1', resolve);
    });
    port = (upstream.address() as AddressInfo).port;
    rig = await Rig.open({ sinks: [], alsoResolve: [host], alsoAllow: `127.0.0.1:${port}`, authority });
    secret = await rig.storeSecret({
      hosts: [`${host}:${port}`],
      body: {
        credential_type: 'aws_sig_v4',
        credentials: { access_key_id: 'AKID', secret_access_key: 'secret' },
      },
    });
    key = (await rig.mintKey()).key;
  });
  afterEach(() => {
    onSocket = () => {};
  });
  afterAll(async () => {
    await rig?.close();
    upstream?.close();
  });

  const begin = async () => {
    const target = `${host}:${port}`;
    const ca = rig.service.authorityPem;
    const tunnel = await mustOpen({ proxyPort: rig.proxyPort, target, key, serverName: host, ca });
    const head = [
      'PUT /key HTTP/1.1',
      `Host: ${target}`,
      `X-Alter-Grant: ${secret.grantId}`,
      'X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      `X-Amz-Decoded-Content-Length: ${1_000 * 65_536}`,
      `Content-Length: ${1_000 * chunk.length + 88}`,
    ];
    tunnel.socket.write(`${head.join('\r\n')}\r\n\r\n${chunk.slice(0, 40_000)}`);
    return tunnel;
  };

  it('gets the answer of an upstream that refuses before the body is over', async () => {
    onSocket = (socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'));
    };
    const tunnel = await begin();
    tunnel.socket.write(chunk.slice(40_000) + chunk);
    const answer = await tunnel.reader.next();
    expect([answer.status, answer.body]).toEqual([403, 'no']);
    tunnel.socket.destroy();
  });

  it('is cut at the upstream within a second once the client has gone', async () => {
    let bytes = 0;
    let closed = false;
    onSocket = (socket) => {
      socket.on('data', (data: Buffer) => {
        bytes += data.length;
      });
      socket.once('close', () => {
        closed = true;
      });
    };
    const tunnel = await begin();
    tunnel.socket.write(chunk.slice(40_000) + chunk.slice(0, 30_000));
    await eventually(() => bytes > 65_536);
    tunnel.socket.destroy();
    await eventually(() => closed, 1_000);
    expect(bytes).toBeLessThan(70_000); // the chunk that was not complete never left
  });

  it('tells the client at once when the upstream has gone', async () => {
    onSocket = (socket) => {
      socket.once('data', () => socket.destroy());
    };
    const tunnel = await begin();
    tunnel.socket.write(chunk.slice(40_000));
    const answer = await tunnel.reader.next();
    expect([answer.status, answer.headers['x-alter-error']]).toEqual([502, 'upstream_incomplete']);
    tunnel.socket.destroy();
  });
});
