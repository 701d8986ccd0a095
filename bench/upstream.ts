import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, openAuthority } from '../certs/authority.ts';
import { accepts, findFreePort, processTree, startProgram, until } from './processes.ts';
import { acknowledgement } from './streams.ts';

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
export const largeBytes = 100 * 2 ** 20;
/** As many names under the host, `c0.…`, `c1.…`, are served too. */
const coldHosts = 40_000;
export const acknowledgementBytes = acknowledgement.length;

export interface Upstream {
  readonly port: number;
  /** A host of the stored secret. */
  readonly host: string;
  /** The same server under a name that belongs to no secret. */
  readonly blindHost: string;
  readonly caFile: string;
  /** Without `Authorization: Bearer` and this, or a signature of AWS with this key, every answer is 401. */
  readonly credential: string;
  readonly awsKeyId: string;
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
  const awsKeyId = `AKIA${randomBytes(8).toString('hex').toUpperCase()}`;
  const now = Date.now();
  const material = await createAuthority({ now });
  const authority = openAuthority({ ...material, now });
  const caFile = join(directory, 'upstream-ca.pem');
  writeFileSync(caFile, material.certificatePem);
  mkdirSync(join(directory, 'files'));
  writeFileSync(join(directory, 'files', 'bulk'), randomBytes(bulkBytes));
  writeFileSync(join(directory, 'files', 'large'), Buffer.alloc(largeBytes, randomBytes(bulkBytes)));
  const streams = join(directory, 'streams.sock');
  const port = await findFreePort();

  const server = (name: string): string => {
    const file = name.replace('*', 'any');
    const leaf = authority.issueLeaf({ host: name, kind: 'name' }, now);
    writeFileSync(join(directory, `${file}.pem`), leaf.chainPem);
    writeFileSync(join(directory, `${file}.key`), leaf.privateKeyPem, { mode: 0o600 });
    return `
  server {
    listen 127.0.0.1:${port} ssl${name === host ? ' backlog=4096' : ''};
    server_name ${name};
    ssl_certificate ${directory}/${file}.pem;
    ssl_certificate_key ${directory}/${file}.key;
    ${name.startsWith('*') ? 'keepalive_timeout 0;' : ''}
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    if ($is_authorized = 0) { return 401; }
    if ($http_proxy_authorization) { return 400; }
    if ($http_x_alter_grant) { return 400; }
    location = /small { default_type application/json; return 200 '${smallJson}'; }
    location = /bulk { root ${directory}/files; }
    location = /large { root ${directory}/files; }
    location ~ ^/(events|socket|upload-large)$ {
      client_max_body_size 0;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_of_upgrade;
      proxy_read_timeout 600s;
      proxy_pass http://unix:${streams};
    }
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
  variables_hash_bucket_size 128;
  map_hash_bucket_size 256;
  map $http_authorization $is_authorized {
    default 0;
    "Bearer ${credential}" 1;
    "~^AWS4-HMAC-SHA256 Credential=${awsKeyId}/[0-9]{8}/us-east-1/execute-api/aws4_request, ?SignedHeaders=[a-z0-9;-]+, ?Signature=[0-9a-f]{64}$" 1;
  }
  map $http_upgrade $connection_of_upgrade { default ''; websocket upgrade; }
  ${server(host)}
  ${server(`*.${host}`)}
  ${server(blindHost)}
  server {
    listen unix:${directory}/received.sock;
    location / { default_type application/json; return 200 '${acknowledgement}'; }
  }
}
`,
  );
  const streamer = startProgram(process.execPath, [join(import.meta.dirname, 'streams.ts'), streams]);
  await until(streamer, () => streamer.output().includes('listening'));
  const program = startProgram('nginx', ['-p', directory, '-c', conf], { env: withSystemPath() });
  await until(program, () => accepts(port));
  return {
    port,
    host,
    blindHost,
    caFile,
    credential,
    awsKeyId,
    pids: () => processTree([program.pid, streamer.pid]),
    stop: async () => {
      await program.stop();
      await streamer.stop();
    },
  };
}

/** All that a proxy has to find at 127.0.0.1. */
export function hostNames({ host }: Upstream, withColdHosts: boolean | undefined): string[] {
  if (withColdHosts !== true) return [host];
  return [host, ...Array.from({ length: coldHosts }, (_, index) => `c${index}.${host}`)];
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
