import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openAuthority } from '../../certs/authority.ts';
import type { Contender } from '../contender.ts';
import { accepts, findFreePort, firstLineOf, startProgram, until } from '../processes.ts';
import { nginxPaths, nginxPreamble, withSystemPath } from '../upstream.ts';
import { writeAuthority } from './authority.ts';

/** It can't take a CONNECT: what it shows is the practical limit of TLS on both sides and a header that is set. */
export const nginx: Contender = {
  name: 'nginx',
  description:
    'nginx as a reverse proxy with a fixed certificate and a fixed header; verified TLS upstream, kept alive',
  find: () => {
    const version = firstLineOf('nginx', ['-v']);
    return version === null ? { missing: 'nginx is not installed' } : { version };
  },
  start: async ({ directory, upstream }) => {
    const authority = await writeAuthority(directory);
    const now = Date.now();
    const leaf = openAuthority({
      certificatePem: readFileSync(authority.cert, 'utf8'),
      privateKeyPem: readFileSync(authority.key, 'utf8'),
      now,
    }).issueLeaf({ host: upstream.host, kind: 'name' }, now);
    writeFileSync(join(directory, 'leaf.pem'), leaf.chainPem);
    writeFileSync(join(directory, 'leaf.key'), leaf.privateKeyPem);
    const port = await findFreePort();
    const conf = join(directory, 'nginx.conf');
    writeFileSync(
      conf,
      `${nginxPreamble(directory)}
http {
  ${nginxPaths(directory)}
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  map $http_upgrade $connection_of_upgrade { default ''; websocket upgrade; }
  upstream api {
    server 127.0.0.1:${upstream.port};
    keepalive 4096;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }
  server {
    listen 127.0.0.1:${port} ssl backlog=4096;
    server_name ${upstream.host};
    ssl_certificate ${directory}/leaf.pem;
    ssl_certificate_key ${directory}/leaf.key;
    ssl_protocols TLSv1.3;
    location / {
      client_max_body_size 0;
      proxy_pass https://api;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_of_upgrade;
      proxy_set_header Authorization "Bearer ${upstream.credential}";
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ${upstream.caFile};
      proxy_ssl_server_name on;
      proxy_ssl_name ${upstream.host};
      proxy_ssl_protocols TLSv1.3;
    }
  }
}
`,
    );
    const program = startProgram('nginx', ['-p', directory, '-c', conf], { env: withSystemPath() });
    await until(program, () => accepts(port));
    return {
      route: {
        port,
        connect: null,
        name: upstream.host,
        host: `${upstream.host}:${upstream.port}`,
        caFile: authority.cert,
        headers: [],
      },
      pids: [program.pid],
      storePids: [],
      stop: () => program.stop(),
    };
  },
};
