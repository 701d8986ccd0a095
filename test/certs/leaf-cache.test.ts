import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { connect, type SecureContext, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, openAuthority } from '../../certs/authority.ts';
import { LeafCache } from '../../certs/leaf-cache.ts';
import { parseHost } from '../../core/origin.ts';
import { withFiles } from './openssl.ts';

const start = Date.now();
const material = await createAuthority({ now: start });
const authority = openAuthority({ ...material, now: start });
const dayMs = 24 * 3_600_000;

function cacheAt(time: { now: number }, maxEntries = 10): LeafCache {
  return new LeafCache({ authorityAt: () => authority, clock: () => time.now, maxEntries });
}

describe('the leaf cache', () => {
  it('gives the same context for the same host, whoever asks and however often', () => {
    const cache = cacheAt({ now: start });
    const contexts = Array.from({ length: 50 }, () => cache.secureContextFor(parseHost('API.example.com')));
    expect(new Set(contexts).size).toBe(1);
    expect(cache.secureContextFor(parseHost('b.example.com'))).not.toBe(contexts[0]);
    expect(cache.size).toBe(2);
  });

  it('holds no more hosts than it may, and lets go of the one that was not used for the longest', () => {
    const cache = cacheAt({ now: start }, 3);
    const contextOf = (host: string): SecureContext => cache.secureContextFor(parseHost(host));
    const [a, b] = ['a.example', 'b.example', 'c.example'].map(contextOf);
    expect(contextOf('a.example')).toBe(a);
    contextOf('d.example');
    expect(cache.size).toBe(3);
    expect(contextOf('a.example')).toBe(a);
    expect(contextOf('b.example')).not.toBe(b);
    for (let index = 0; index < 20; index++) contextOf(`h${index}.example`);
    expect(cache.size).toBe(3);
  });

  it('renews a context before its leaf expires', () => {
    const time = { now: start };
    const cache = cacheAt(time);
    const host = parseHost('a.example');
    const first = cache.secureContextFor(host);
    time.now += 3 * dayMs;
    expect(cache.secureContextFor(host)).toBe(first);
    time.now += dayMs;
    expect(cache.secureContextFor(host)).not.toBe(first);
    expect(cache.size).toBe(1);
  });
});

describe('a TLS server with contexts of the cache', () => {
  const cache = cacheAt({ now: start });
  const sockets = new Set<TLSSocket>();
  let server: Server;
  let port: number;

  beforeAll(async () => {
    // As the proxy does it: a plain listener whose sockets become TLS servers one by one. Clients send no SNI for an address.
    const http = createHttpServer((_request, response) => response.end('hello'));
    server = createServer((socket) => {
      const tls = new TLSSocket(socket, {
        isServer: true,
        secureContext: cache.secureContextFor(parseHost('127.0.0.1')),
        SNICallback: (name, done) => done(null, cache.secureContextFor(parseHost(name))),
      });
      tls.on('error', () => socket.destroy());
      http.emit('connection', tls);
      sockets.add(tls);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });

  async function dial(servername: string, session?: Buffer, version?: 'TLSv1.2' | 'TLSv1.1'): Promise<TLSSocket> {
    const socket = connect({
      ...{ host: '127.0.0.1', port, servername, ca: material.certificatePem },
      ...(session === undefined ? {} : { session }),
      ...(version === undefined ? {} : { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }),
    });
    await once(socket, 'secureConnect');
    return socket;
  }

  async function sessionOf(servername: string): Promise<Buffer> {
    const socket = await dial(servername);
    const [session] = (await once(socket, 'session')) as [Buffer];
    socket.destroy();
    return session;
  }

  it('is accepted by Node for the name that was asked for', async () => {
    for (const name of ['api.example.com', `${'a'.repeat(63)}.example.com`]) {
      const socket = await dial(name);
      expect(socket.authorized).toBe(true);
      expect(new X509Certificate(socket.getPeerCertificate(true).raw).subjectAltName).toBe(`DNS:${name}`);
      socket.destroy();
    }
  });

  it('is accepted by curl with the CA alone, by name and by IP address', async () => {
    await withFiles({ ca: material.certificatePem }, async (pathOf) => {
      for (const host of ['api.example.com', '127.0.0.1']) {
        const args = ['-sS', '--noproxy', '*', '--cacert', pathOf('ca'), '--resolve', `${host}:${port}:127.0.0.1`];
        const { stdout } = await promisify(execFile)('curl', [...args, `https://${host}:${port}/`]);
        expect(stdout).toBe('hello');
      }
    });
  });

  it('is refused by clients that do not have the CA', async () => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'api.example.com' });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY/);
  });

  it('speaks TLS 1.2 and refuses TLS 1.1', async () => {
    const socket = await dial('api.example.com', undefined, 'TLSv1.2');
    expect(socket.getProtocol()).toBe('TLSv1.2');
    socket.destroy();
    await expect(dial('api.example.com', undefined, 'TLSv1.1')).rejects.toThrow();
  });

  it('resumes a session after the context of its host was dropped from the cache', async () => {
    const session = await sessionOf('resumed.example');
    for (let index = 0; index < 20; index++) cache.secureContextFor(parseHost(`h${index}.example`));
    const socket = await dial('resumed.example', session);
    expect(socket.isSessionReused()).toBe(true);
    socket.destroy();
  });

  it('does not resume a session of one host at another', async () => {
    const session = await sessionOf('one.example');
    const socket = await dial('two.example', session);
    expect(socket.isSessionReused()).toBe(false);
    socket.destroy();
  });
});
