import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig, run, type StoredSecret } from '../support/rig.ts';
import { ServedRig } from '../support/served-rig.ts';
import { TestAuthority } from '../support/sink.ts';
import { startStopwatch } from '../support/stopwatch.ts';
import { AnswerReader, basic, connectTo } from '../support/tunnel-client.ts';

/** TLS to the proxy itself, and inside it, inside the tunnel, TLS to the upstream that it stands in for. */
describe('a proxy that speaks TLS', () => {
  let front: TestAuthority;
  let clients: { readonly certificatePem: string; readonly shown: { readonly cert: string; readonly key: string } };
  let directory: string;
  const file = (name: string): string => join(directory, name);
  beforeAll(async () => {
    front = await TestAuthority.create();
    directory = mkdtempSync(join(tmpdir(), 'alter-tls-'));
    clients = await makeClients(directory);
    writeFileSync(file('front-ca.pem'), front.material.certificatePem);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const settingsFor = (leaf: { chainPem: string; privateKeyPem: string }) => ({
    ALTER_PROXY_TLS_CERT: leaf.chainPem,
    ALTER_PROXY_TLS_KEY: leaf.privateKeyPem,
  });
  const curl = (rig: Rig, key: string, args: readonly string[]) =>
    run('curl', ['-sS', '--max-time', '20', '--cacert', rig.caFile, '--proxy-cacert', file('front-ca.pem'), ...args], {
      PATH: process.env.PATH ?? '',
      HTTPS_PROXY: `https://x:${key}@localhost:${rig.proxyPort}`,
    });

  describe('of everybody', () => {
    let rig: Rig;
    let secret: StoredSecret;
    let key: string;
    beforeAll(async () => {
      rig = await Rig.open({ settings: { ...settingsFor(front.leafFor('localhost')), ALTER_TLS_TIMEOUT: '300ms' } });
      secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
      key = (await rig.mintKey()).key;
    });
    afterAll(() => rig?.close());

    it('serves curl, with a credential inside and through a tunnel that is not opened', async () => {
      const url = `https://${rig.authorityOf()}/p`;
      const injected = await curl(rig, key, ['-H', `X-Alter-Grant: ${secret.grantId}`, url, url]);
      expect(injected).toEqual({ code: 0, stdout: 'okok', stderr: '' });
      expect(rig.sink().requests.at(-1)!.all('authorization')).toEqual([`Bearer ${secret.canary}`]);
    });

    it('carries large bodies both ways, TLS in TLS', async () => {
      const body = Buffer.alloc(8 * 1_048_576, 'x');
      writeFileSync(file('body'), body);
      rig.sink().answer = (_, res, received) => void res.end(received);
      const url = `https://${rig.authorityOf()}/p`;
      const answer = await curl(rig, key, [
        '-H',
        `X-Alter-Grant: ${secret.grantId}`,
        '--data-binary',
        `@${file('body')}`,
        url,
      ]);
      rig.sink().answer = (_, res) => void res.end('ok');
      expect(answer.stderr).toBe('');
      expect(answer.stdout.length).toBe(body.length);
    });

    it('is not shown to a client that does not trust its certificate, and not spoken to in plain HTTP', async () => {
      const url = `https://${rig.authorityOf()}/p`;
      const untrusting = await run('curl', ['-sS', '--max-time', '20', '--cacert', rig.caFile, url], {
        PATH: process.env.PATH ?? '',
        HTTPS_PROXY: `https://x:${key}@localhost:${rig.proxyPort}`,
      });
      expect(untrusting.code).not.toBe(0);
      const plain = await run('curl', ['-sS', '--max-time', '20', '--cacert', rig.caFile, url], {
        PATH: process.env.PATH ?? '',
        HTTPS_PROXY: `http://x:${key}@localhost:${rig.proxyPort}`,
      });
      expect(plain.code).not.toBe(0);
      await eventually(() => rig.service.proxy!.connections() === 0);
    });

    it('lets go of a client that stalls in the handshake', async () => {
      const elapsedMs = startStopwatch();
      const stalled = await connectTo(rig.proxyPort);
      stalled.resume();
      stalled.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
      await once(stalled, 'close');
      expect(elapsedMs()).toBeLessThan(3_000);
      await eventually(() => rig.service.proxy!.connections() === 0);
    });

    it('takes the next certificate for new connections, and keeps the old ones', async () => {
      const old = await speak(rig, key, { ca: front.material.certificatePem });
      const next = await TestAuthority.create();
      const leaf = next.leafFor('localhost');
      rig.service.proxy!.replaceTls({ certificate: leaf.chainPem, key: leaf.privateKeyPem, clientAuthorities: null });
      expect(() =>
        rig.service.proxy!.replaceTls({ certificate: leaf.chainPem, key: 'none', clientAuthorities: null }),
      ).toThrow();
      await expect(speak(rig, key, { ca: front.material.certificatePem })).rejects.toThrow();
      const fresh = await speak(rig, key, { ca: next.material.certificatePem });
      for (const one of [old, fresh]) {
        expect((await one.ask()).status).toBe(405);
        one.socket.destroy();
      }
    });
  });

  describe('of those who show a certificate', () => {
    let rig: Rig;
    let key: string;
    beforeAll(async () => {
      rig = await Rig.open({
        settings: {
          ...settingsFor(front.leafFor('localhost')),
          ALTER_PROXY_TLS_CLIENT_CA: clients.certificatePem,
        },
      });
      key = (await rig.mintKey()).key;
    });
    afterAll(() => rig?.close());

    it.each<[string, () => { cert?: string; key?: string }, boolean]>([
      ['of its authority', () => clients.shown, true],
      ['of another authority', () => serverLeafOf(front), false],
      ['of none', () => ({}), false],
    ])('a client with a certificate %s', async (_, certificate, welcome) => {
      const asked = speak(rig, key, { ca: front.material.certificatePem, ...certificate() }).then((one) => one.ask());
      if (welcome) expect((await asked).status).toBe(405);
      else await expect(asked).rejects.toThrow();
    });

    it('is read again from its files on SIGHUP, and stays what it was where they do not fit', async () => {
      const write = (leaf: { chainPem: string; privateKeyPem: string }): void => {
        writeFileSync(file('cert.pem'), leaf.chainPem);
        writeFileSync(file('key.pem'), leaf.privateKeyPem);
      };
      write(front.leafFor('localhost'));
      const settings = Object.fromEntries(
        ['PROXY', 'ADMIN'].flatMap((listener) => [
          [`ALTER_${listener}_TLS_CERT_FILE`, file('cert.pem')],
          [`ALTER_${listener}_TLS_KEY_FILE`, file('key.pem')],
        ]),
      );
      const served = await ServedRig.open({ settings: { ...settings, ALTER_WORKERS: '2' } });
      try {
        const adminPort = Number(/^ {2}admin {2}https:\/\/127\.0\.0\.1:(\d+)$/m.exec(served.stdout)![1]);
        const works = async (ca: TestAuthority, port: number): Promise<boolean> => {
          const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: ca.material.certificatePem });
          const good = await new Promise<boolean>((resolve) => {
            socket.once('secureConnect', () => resolve(true));
            socket.once('error', () => resolve(false));
          });
          socket.destroy();
          return good;
        };
        for (const port of [served.proxyPort, adminPort]) expect(await works(front, port)).toBe(true);
        writeFileSync(file('key.pem'), 'nonsense');
        served.child.kill('SIGHUP');
        await eventually(() => (served.stdout + served.stderr).includes('could not be read again'));
        for (const port of [served.proxyPort, adminPort]) expect(await works(front, port)).toBe(true);
        const next = await TestAuthority.create();
        write(next.leafFor('localhost'));
        served.child.kill('SIGHUP');
        for (const port of [served.proxyPort, adminPort]) {
          await eventually(() => works(next, port));
          expect(await works(front, port)).toBe(false);
        }
      } finally {
        await served.close();
      }
    });
  });
});

/** Certificates for clients, which this service does not issue: made by openssl. */
async function makeClients(directory: string) {
  const file = (name: string): string => join(directory, name);
  const openssl = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await run('openssl', args, { PATH: process.env.PATH ?? '' });
    if (code !== 0) throw new Error(stderr);
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
    '-subj',
    '/CN=clients',
    '-days',
    '2',
  );
  await openssl('req', ...key, '-keyout', file('client.key'), '-out', file('client.csr'), '-subj', '/CN=workload');
  writeFileSync(file('client.ext'), 'extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n');
  const signed = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('client.ext')];
  await openssl('x509', '-req', '-in', file('client.csr'), '-out', file('client.crt'), '-days', '2', ...signed);
  const read = (name: string): string => readFileSync(file(name), 'utf8');
  return { certificatePem: read('ca.crt'), shown: { cert: read('client.crt'), key: read('client.key') } };
}

function serverLeafOf(authority: TestAuthority): { cert: string; key: string } {
  const leaf = authority.leafFor('client.test');
  return { cert: leaf.chainPem, key: leaf.privateKeyPem };
}

/** A TLS connection to the proxy; `ask` sends a request that is refused, which shows that it was read. */
async function speak(rig: Rig, key: string, options: ConnectionOptions) {
  const socket: TLSSocket = connect({ port: rig.proxyPort, host: '127.0.0.1', servername: 'localhost', ...options });
  await once(socket, 'secureConnect');
  const reader = new AnswerReader(socket);
  socket.on('error', () => {});
  return {
    socket,
    ask: async () => {
      socket.write(`TRACE http://a.test/ HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: ${basic('x', key)}\r\n\r\n`);
      const answer = await reader.next();
      if (answer.status === 0) throw new Error('the proxy hung up');
      return answer;
    },
  };
}
