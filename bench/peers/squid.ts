import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from '../contender.ts';
import { accepts, findFreePort, firstLineOf, startProgram, until } from '../processes.ts';
import { hostNames, withSystemPath } from '../upstream.ts';
import { writeAuthority } from './authority.ts';
import { intercepted } from './routes.ts';

const certificateProgram = ['/usr/lib/squid/security_file_certgen', '/usr/libexec/squid/security_file_certgen'];

/** Bumps every tunnel at once, the cheapest way it has; no cache, no log, no users. */
export const squid: Contender = {
  name: 'squid',
  description: 'squid with ssl_bump: leaves from its own CA, `request_header_add`, no cache, no log, no authentication',
  find: () => {
    const version = firstLineOf('squid', ['-v'], /^Squid Cache/);
    if (version === null) return { missing: 'squid is not installed' };
    if (firstLineOf('squid', ['-v'], /--with-openssl/) === null || !certificateProgram.some(existsSync))
      return { missing: 'squid is installed without OpenSSL: install squid-openssl' };
    return { version };
  },
  start: async ({ directory, upstream, coldHosts }) => {
    const authority = await writeAuthority(directory);
    const port = await findFreePort();
    const program = certificateProgram.find(existsSync)!;
    const database = join(directory, 'leaves');
    const conf = join(directory, 'squid.conf');
    writeFileSync(
      join(directory, 'hosts'),
      hostNames(upstream, coldHosts)
        .map((name) => `127.0.0.1 ${name}\n`)
        .join(''),
    );
    writeFileSync(
      conf,
      `http_port 127.0.0.1:${port} ssl-bump cert=${authority.cert} key=${authority.key} generate-host-certificates=on dynamic_cert_mem_cache_size=16MB
sslcrtd_program ${program} -s ${database} -M 16MB
sslcrtd_children 1 startup=1 idle=1
ssl_bump bump all
tls_outgoing_options cafile=${upstream.caFile} min-version=1.2
acl all_methods method GET PUT POST CONNECT
http_access allow all_methods
request_header_access Authorization deny all
request_header_add Authorization "Bearer ${upstream.credential}" all
hosts_file ${directory}/hosts
cache deny all
cache_mem 0
access_log none
cache_log ${directory}/cache.log
cache_store_log none
pid_filename ${directory}/squid.pid
coredump_dir ${directory}
via off
http_upgrade_request_protocols websocket allow all
forwarded_for delete
pinger_enable off
max_filedescriptors 65536
client_persistent_connections on
server_persistent_connections on
client_idle_pconn_timeout 10 minutes
server_idle_pconn_timeout 10 minutes
shutdown_lifetime 0 seconds
workers 1
${process.getuid?.() === 0 ? 'cache_effective_user proxy' : ''}
`,
    );
    execFileSync(program, ['-c', '-s', database, '-M', '16MB'], { stdio: 'ignore' });
    if (process.getuid?.() === 0) giveToProxyUser(directory, database);
    const server = startProgram('squid', ['-N', '-n', `alterbench${process.pid}`, '-f', conf], {
      env: withSystemPath(),
      cwd: directory,
    });
    await until(server, () => accepts(port));
    return {
      route: intercepted({ port, upstream, caFile: authority.cert }),
      pids: [server.pid],
      storePids: [],
      stop: () => server.stop(),
    };
  },
};

/** Started by root, squid gives itself to the user of its package. */
function giveToProxyUser(directory: string, database: string): void {
  const passwd = readFileSync('/etc/passwd', 'utf8');
  const [, uid, gid] = /^proxy:[^:]*:(\d+):(\d+):/m.exec(passwd) ?? [];
  if (uid === undefined || gid === undefined) throw new Error('squid, started by root, needs the user "proxy"');
  mkdirSync(database, { recursive: true });
  execFileSync('chown', ['-R', `${uid}:${gid}`, database]);
  chownSync(directory, Number(uid), Number(gid));
  chmodSync(directory, 0o755);
}
