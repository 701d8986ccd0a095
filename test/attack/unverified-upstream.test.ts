import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type SecureVersion, type Server as TlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openAuthority } from '../../certs/authority.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';
import { mustOpen } from '../support/tunnel-client.ts';

/*
 * Somebody between the proxy and the upstream, or an upstream that is not what its name says. The credential may only
 * leave over a connection whose certificate proves the name: otherwise not one byte of HTTP is sent.
 */

interface BadUpstream {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
  readonly maxVersion?: SecureVersion;
}

/** A server that presents a certificate and counts the bytes of HTTP that it got. */
class Presenter {
  httpBytes = 0;
  readonly #server: TlsServer;

  constructor(server: TlsServer) {
    this.#server = server;
  }

  static async open(bad: BadUpstream): Promise<Presenter> {
    const old = bad.maxVersion !== undefined;
    const server = createTlsServer({
      cert: bad.certificate,
      key: bad.key,
      ...(old
        ? { minVersion: 'TLSv1', maxVersion: bad.maxVersion!, ciphers: 'DEFAULT:@SECLEVEL=0' }
        : { ciphers: 'DEFAULT:@SECLEVEL=0' }),
    });
    const presenter = new Presenter(server);
    server.on('secureConnection', (socket: Socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        presenter.httpBytes += chunk.length;
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      });
    });
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return presenter;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What it shows from now on. */
  present({ certificate, key }: BadUpstream): void {
    this.#server.setSecureContext({ cert: certificate, key });
  }

  close(): void {
    this.#server.close();
  }
}

describe('an upstream that does not prove its name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'alter-bad-certs-'));
  let rig: Rig;
  let key: string;

  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: directory, encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  };
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

  /** A certificate of the trusted test CA (or of `issuer`), with these extensions and this life. */
  const issue = (
    name: string,
    of: {
      extensions: string;
      subject?: string;
      issuer?: string;
      notBefore?: string;
      notAfter?: string;
      keyType?: string[];
      digest?: string;
    },
  ): BadUpstream => {
    const issuer = of.issuer ?? 'ca';
    writeFileSync(join(directory, `${name}.ext`), of.extensions);
    openssl(
      'req',
      '-newkey',
      ...(of.keyType ?? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']),
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      of.subject ?? '/CN=bad',
    );
    writeFileSync(join(directory, `${name}.index`), '');
    writeFileSync(
      join(directory, `${name}.cnf`),
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${name}.index\nrand_serial=yes\nunique_subject=no\nnew_certs_dir=.\npolicy=p\nemail_in_dn=no\n[p]\ncommonName=optional\n`,
    );
    openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      `${name}.cnf`,
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
      '-cert',
      `${issuer}.pem`,
      '-keyfile',
      `${issuer}.key`,
      '-md',
      of.digest ?? 'sha256',
      '-startdate',
      of.notBefore ?? '20250101000000Z',
      '-enddate',
      of.notAfter ?? '20350101000000Z',
      '-extfile',
      `${name}.ext`,
    );
    return {
      name,
      certificate: read(`${name}.pem`) + (issuer === 'ca' ? '' : read(`${issuer}.pem`)),
      key: read(`${name}.key`),
    };
  };

  const server = 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n';
  const authority = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n';
  const named = `${server}subjectAltName=DNS:a.test\n`;

  beforeAll(async () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-days',
      '3650',
      '-subj',
      '/CN=trusted',
    );
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      'stranger.key',
      '-out',
      'stranger.pem',
      '-days',
      '3650',
      '-subj',
      '/CN=stranger',
    );
    rig = await Rig.open({
      settings: { ALTER_UPSTREAM_CA: read('ca.pem') },
      alsoAllow: '127.0.0.0/8',
      alsoResolve: ['b.test'],
    });
    key = (await rig.mintKey()).key;
  });
  afterAll(async () => {
    await rig?.close();
    rmSync(directory, { recursive: true });
  });

  const askThrough = async (port: number, host = 'a.test'): Promise<readonly [number, string | undefined]> => {
    const secret: StoredSecret = await rig.storeSecret({ hosts: [`${host}:${port}`] });
    const tunnel = await mustOpen({
      proxyPort: rig.proxyPort,
      target: `${host}:${port}`,
      key,
      serverName: host,
      ca: rig.service.authorityPem,
    });
    tunnel.socket.write(`GET /p HTTP/1.1\r\nHost: ${host}:${port}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`);
    const answer = await tunnel.reader.next();
    tunnel.socket.destroy();
    return [answer.status, answer.headers['x-alter-error']];
  };

  const bad: readonly (readonly [title: string, make: () => BadUpstream])[] = [
    [
      'expired',
      () => issue('expired', { extensions: named, notBefore: '20200101000000Z', notAfter: '20210101000000Z' }),
    ],
    [
      'not valid yet',
      () => issue('future', { extensions: named, notBefore: '20340101000000Z', notAfter: '20350101000000Z' }),
    ],
    ['for another name', () => issue('other', { extensions: `${server}subjectAltName=DNS:b.test\n` })],
    ['for a name below', () => issue('below', { extensions: `${server}subjectAltName=DNS:x.a.test\n` })],
    ['with a wildcard two levels up', () => issue('wide', { extensions: `${server}subjectAltName=DNS:*.test\n` })],
    ['with a wildcard over everything', () => issue('star', { extensions: `${server}subjectAltName=DNS:*\n` })],
    ['with the name as common name only', () => issue('cn', { extensions: server, subject: '/CN=a.test' })],
    [
      'with an address instead of the name',
      () => issue('ip', { extensions: `${server}subjectAltName=IP:127.0.0.1\n` }),
    ],
    ['with the address as a DNS name', () => issue('ipdns', { extensions: `${server}subjectAltName=DNS:127.0.0.1\n` })],
    [
      'with the name before a NUL',
      () => {
        const name = Buffer.from('a.test\0.evil.test', 'latin1');
        const san = Buffer.concat([Buffer.from([0x30, name.length + 2, 0x82, name.length]), name]);
        return issue('nul', { extensions: `${server}subjectAltName=DER:${san.toString('hex')}\n` });
      },
    ],
    ['from a stranger', () => issue('unknown', { extensions: named, issuer: 'stranger' })],
    [
      'for clients, not servers',
      () =>
        issue('eku', {
          extensions:
            'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:a.test\n',
        }),
    ],
    [
      'from an issuer that is no authority',
      () => {
        issue('notca', { extensions: `${server}subjectAltName=DNS:notca.test\n`, subject: '/CN=notca' });
        return issue('undernotca', { extensions: named, issuer: 'notca' });
      },
    ],
    [
      'beyond the path length of its issuer',
      () => {
        issue('short', {
          extensions: 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n',
          subject: '/CN=short',
        });
        issue('long', { extensions: authority, subject: '/CN=long', issuer: 'short' });
        const leaf = issue('toolong', { extensions: named, issuer: 'long' });
        return { ...leaf, certificate: leaf.certificate + read('short.pem') };
      },
    ],
    [
      'outside the name constraints of its issuer',
      () => {
        issue('constrained', {
          extensions: `${authority}nameConstraints=critical,permitted;DNS:b.test\n`,
          subject: '/CN=constrained',
        });
        return issue('outside', { extensions: named, issuer: 'constrained' });
      },
    ],
    [
      'without the intermediate between it and the root',
      () => {
        issue('middle', { extensions: authority, subject: '/CN=middle' });
        const leaf = issue('gap', { extensions: named, issuer: 'middle' });
        return { ...leaf, certificate: read('gap.pem') };
      },
    ],
    ['with a key of 1024 bits', () => issue('weak', { extensions: named, keyType: ['rsa:1024'] })],
    ['signed with SHA-1', () => issue('sha1', { extensions: named, digest: 'sha1' })],
    [
      'self-signed',
      () => {
        openssl(
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-keyout',
          'self.key',
          '-out',
          'self.pem',
          '-days',
          '30',
          '-subj',
          '/CN=a.test',
          '-addext',
          'subjectAltName=DNS:a.test',
        );
        return { name: 'self', certificate: read('self.pem'), key: read('self.key') };
      },
    ],
    ['TLS 1.0', () => ({ ...issue('tls10', { extensions: named }), maxVersion: 'TLSv1' })],
    ['TLS 1.1', () => ({ ...issue('tls11', { extensions: named }), maxVersion: 'TLSv1.1' })],
  ];

  it.each(bad)('gets not one byte of HTTP: %s', async (_, make) => {
    const presenter = await Presenter.open(make());
    try {
      expect(await askThrough(presenter.port)).toEqual([502, 'upstream_tls']);
      expect(presenter.httpBytes).toBe(0);
    } finally {
      presenter.close();
    }
  });

  it('gets the request where the certificate is in order: the control of this table', async () => {
    const presenter = await Presenter.open(issue('good', { extensions: named }));
    try {
      expect((await askThrough(presenter.port))[0]).toBe(200);
      expect(presenter.httpBytes).toBeGreaterThan(0);
    } finally {
      presenter.close();
    }
  });

  it('gets nothing on the next connection, where it shows another certificate then', async () => {
    const presenter = await Presenter.open(issue('before', { extensions: named }));
    try {
      expect((await askThrough(presenter.port))[0]).toBe(200);
      const { httpBytes } = presenter;
      presenter.present(issue('after', { extensions: `${server}subjectAltName=DNS:b.test\n` }));
      expect(await askThrough(presenter.port)).toEqual([502, 'upstream_tls']);
      expect(presenter.httpBytes).toBe(httpBytes);
    } finally {
      presenter.close();
    }
  });

  it('gets nothing for another name by the session of the name that it has proved', async () => {
    const presenter = await Presenter.open(issue('session', { extensions: named }));
    try {
      for (let i = 0; i < 3; i++) expect((await askThrough(presenter.port))[0]).toBe(200);
      const { httpBytes } = presenter;
      for (let i = 0; i < 3; i++) expect(await askThrough(presenter.port, 'b.test')).toEqual([502, 'upstream_tls']);
      expect(presenter.httpBytes).toBe(httpBytes);
      expect((await askThrough(presenter.port))[0]).toBe(200);
    } finally {
      presenter.close();
    }
  });

  it('gets nothing where it does not know the name', async () => {
    let bytes = 0;
    const { certificate, key: leafKey } = issue('unasked', { extensions: named });
    const stranger = createTlsServer(
      {
        cert: certificate,
        key: leafKey,
        SNICallback: (_, done) => done(new Error('unrecognized name')),
      },
      (socket) => socket.on('data', (chunk: Buffer) => (bytes += chunk.length)),
    );
    stranger.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    expect(await askThrough((stranger.address() as AddressInfo).port)).toEqual([502, 'upstream_tls']);
    expect(bytes).toBe(0);
    stranger.close();
  });

  it('gets nothing where it shows a certificate of our own interception CA, although that CA is trusted', async () => {
    const own = await Rig.open();
    const now = Date.now();
    // The rig's test authority is trusted for upstreams; make it the interception CA of a second proxy as well.
    const both = await Rig.open({
      settings: {
        ALTER_CA_CERT: own.authority.material.certificatePem,
        ALTER_CA_KEY: own.authority.material.privateKeyPem,
        ALTER_UPSTREAM_CA: own.authority.material.certificatePem,
      },
      alsoAllow: '127.0.0.0/8',
    });
    const leaf = openAuthority({ ...own.authority.material, now }).issueLeaf({ host: 'a.test', kind: 'name' }, now);
    const presenter = await Presenter.open({ name: 'own', certificate: leaf.chainPem, key: leaf.privateKeyPem });
    try {
      const secret = await both.storeSecret({ hosts: [`a.test:${presenter.port}`] });
      const { key: bothKey } = await both.mintKey();
      const tunnel = await mustOpen({
        proxyPort: both.proxyPort,
        target: `a.test:${presenter.port}`,
        key: bothKey,
        serverName: 'a.test',
        ca: both.service.authorityPem,
      });
      tunnel.socket.write(
        `GET /p HTTP/1.1\r\nHost: a.test:${presenter.port}\r\nX-Alter-Grant: ${secret.grantId}\r\n\r\n`,
      );
      expect((await tunnel.reader.next()).headers['x-alter-error']).toBe('upstream_tls');
      tunnel.socket.destroy();
      expect(presenter.httpBytes).toBe(0);
    } finally {
      presenter.close();
      await both.close();
      await own.close();
    }
  });

  it('gets nothing where it speaks no TLS at all', async () => {
    let bytes = '';
    const plain = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        bytes += chunk.toString('latin1');
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    expect(await askThrough((plain.address() as AddressInfo).port)).toEqual([502, 'upstream_tls']);
    expect(bytes).not.toMatch(/HTTP|canary/);
    plain.close();
  });
});
