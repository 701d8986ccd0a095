import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, openAuthority } from '../certs/authority.ts';
import { accepts, findFreePort, processTree, startProgram, until } from './processes.ts';

export const smallJson = JSON.stringify({
  id: 'ch_3PfQ2b2eZvKYlo2C1a2b3c4d',
  object: 'charge',
  amount: 2000,
  currency: 'usd',
  paid: true,
  status: 'succeeded',
  metadata: { order: '6735', note: 'two hundred bytes in all, or about so' },
});
export const bulkBytes = 2 ** 20;
const acknowledgement = '{"received":true}';
export const acknowledgementBytes = acknowledgement.length;

export interface Upstream {
  readonly port: number;
  /** A host of the stored secret. */
  readonly host: string;
  /** The same server under a name that belongs to no secret. */
  readonly blindHost: string;
  readonly caFile: string;
  /** Without `Authorization: Bearer` and this, every answer is 401. */
  readonly credential: string;
  readonly pids: () => number[];
  stop(): Promise<void>;
}

/**
 * nginx with TLS 1.3, one worker. It answers 200 only to requests that bring the credential and nothing of the proxy's
 * own: so every request that counts was one into which the credential was put, and whose key was taken out.
 */
export async function startUpstream(directory: string): Promise<Upstream> {
  const host = 'api.upstream.test';
  const blindHost = 'other.upstream.test';
  const credential = `bench_${randomBytes(16).toString('hex')}`;
  const now = Date.now();
  const material = await createAuthority({ now });
  const authority = openAuthority({ ...material, now });
  const caFile = join(directory, 'upstream-ca.pem');
  writeFileSync(caFile, material.certificatePem);
  mkdirSync(join(directory, 'files'));
  writeFileSync(join(directory, 'files', 'bulk'), randomBytes(bulkBytes));
  const port = await findFreePort();

  const server = (name: string): string => {
    const leaf = authority.issueLeaf({ host: name, kind: 'name' }, now);
    writeFileSync(join(directory, `${name}.pem`), leaf.chainPem);
    writeFileSync(join(directory, `${name}.key`), leaf.privateKeyPem, { mode: 0o600 });
    return `
  server {
    listen 127.0.0.1:${port} ssl${name === host ? ' backlog=4096' : ''};
    server_name ${name};
    ssl_certificate ${directory}/${name}.pem;
    ssl_certificate_key ${directory}/${name}.key;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    if ($http_authorization != "Bearer ${credential}") { return 401; }
    if ($http_proxy_authorization) { return 400; }
    if ($http_x_alter_grant) { return 400; }
    location = /small { default_type application/json; return 200 '${smallJson}'; }
    location = /bulk { root ${directory}/files; }
    location = /upload {
      client_max_body_size 0;
      client_body_buffer_size 2m;
      proxy_pass http://unix:${directory}/received.sock;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }
  }`;
  };
  const conf = join(directory, 'upstream.conf');
  writeFileSync(
    conf,
    `${nginxPreamble(directory)}
http {
  ${nginxPaths(directory)}
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  ${server(host)}
  ${server(blindHost)}
  server {
    listen unix:${directory}/received.sock;
    location / { default_type application/json; return 200 '${acknowledgement}'; }
  }
}
`,
  );
  const program = startProgram('nginx', ['-p', directory, '-c', conf], { env: withSystemPath() });
  await until(program, () => accepts(port));
  return {
    port,
    host,
    blindHost,
    caFile,
    credential,
    pids: () => processTree([program.pid]),
    stop: () => program.stop(),
  };
}

/** What every nginx here has: one worker in the foreground. Debian's would otherwise give up root, and its files with it. */
export function nginxPreamble(directory: string): string {
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
${process.getuid?.() === 0 ? 'user root;' : ''}
error_log ${directory}/nginx-error.log error;
pid ${directory}/nginx.pid;
events { worker_connections 32768; }`;
}

export function nginxPaths(directory: string): string {
  return `access_log off;
  tcp_nodelay on;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((use) => `${use}_temp_path ${directory}/${use};`).join(' ')}`;
}

/** Distributions put servers where the PATH of users does not look. */
export function withSystemPath(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` };
}
