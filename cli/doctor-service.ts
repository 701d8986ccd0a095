import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { connect as openTls } from 'node:tls';
import { openProxy, refusedUserToken } from './doctor-relay.ts';
import { Failure, systemCodeOf } from './failure.ts';

/** One line of the answer. `failed` and nothing else makes the command end with an error. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'failed' | 'skipped';
  /** What was found. */
  readonly detail: string;
  /** What to do or to set, or null. */
  readonly fix: string | null;
}

const patienceMs = 10_000;
const maxSkewMs = 60_000;
const soonMs = 30 * 24 * 3_600_000;

/** The answer to a GET without a token. Rejects where nothing answers. */
export async function askPlainly(
  url: URL,
  timeoutMs = patienceMs,
): Promise<{ readonly status: number; readonly date: number; readonly text: string }> {
  const http = await (url.protocol === 'https:' ? import('node:https') : import('node:http'));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    http.get(url, { agent: new http.Agent(), signal: AbortSignal.timeout(timeoutMs) }, resolve).on('error', reject);
  });
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1');
    if (text.length > 4096) break;
  }
  return { status: response.statusCode ?? 0, date: Date.parse(response.headers.date ?? ''), text };
}

/** Whether our clock goes as the service's. Ends of keys and grants, and signatures for AWS, depend on it. */
export function judgeClock(serverDate: number, now: number): Finding {
  const skewMs = now - serverDate;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const check = 'clock';
  if (Number.isNaN(skewMs)) return { check, status: 'skipped', detail: 'The service told no time.', fix: null };
  if (Math.abs(skewMs) <= maxSkewMs)
    return { check, status: 'ok', detail: `Within ${seconds} s of the service.`, fix: null };
  return {
    check,
    status: 'failed',
    detail: `${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the service.`,
    fix: 'Set the clock of this machine or of the service, for example with chrony.',
  };
}

/** Whether an authority is valid now. `pem` holds one certificate or more. */
export function judgeAuthority(pem: string, now: number): Finding {
  const check = 'CA certificate';
  const certificate = new X509Certificate(pem);
  const from = Date.parse(certificate.validFrom);
  const until = Date.parse(certificate.validTo);
  const name = certificate.subject.replaceAll('\n', ', ');
  if (now < from || now > until)
    return {
      check,
      status: 'failed',
      detail: `${name} is valid from ${new Date(from).toISOString()} to ${new Date(until).toISOString()}.`,
      fix:
        now < from
          ? 'Set the clock of this machine.'
          : 'Replace the CA of the service, and give workloads the new one.',
    };
  const soon = until - now < soonMs ? 'Replace it soon.' : null;
  return { check, status: 'ok', detail: `${name}, until ${new Date(until).toISOString()}.`, fix: soon };
}

/** Whether something accepts connections there. */
export async function reachProxy(proxyUrl: URL, authorityPems: readonly string[]): Promise<Finding> {
  const check = 'proxy';
  const ready = proxyUrl.protocol === 'https:' ? 'secureConnect' : 'connect';
  try {
    (await opened(openProxy(proxyUrl, authorityPems), ready)).destroy();
    return { check, status: 'ok', detail: `Accepts connections at ${proxyUrl.origin}.`, fix: null };
  } catch (error) {
    return {
      check,
      status: 'failed',
      detail: `Can't be reached at ${proxyUrl.origin}: ${reasonOf(error)}.`,
      fix: 'Start it with `alter serve`, or name another with --proxy-url or ALTER_PROXY_URL.',
    };
  }
}

/**
 * Shows the key to the proxy and, where it opens the tunnel up, looks at the certificate that it gives. `host` is `NAME:PORT`.
 */
export async function showKey(
  of: {
    readonly proxyUrl: URL;
    readonly authorityPems: readonly string[];
    readonly key: string;
    readonly host: string;
  },
  trusted: string | null,
): Promise<readonly Finding[]> {
  const { proxyUrl, authorityPems, key, host } = of;
  const socket = openProxy(proxyUrl, authorityPems);
  try {
    await opened(socket, proxyUrl.protocol === 'https:' ? 'secureConnect' : 'connect');
    const login = Buffer.from(`auto:${key}`).toString('base64');
    socket.write(
      `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Basic ${login}\r\n${refusedUserToken}\r\n\r\n`,
    );
    const head = await readHead(socket);
    const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0);
    const code = /^x-alter-error: *([a-z_]+)/im.exec(head)?.[1] ?? null;
    if (status === 407 || status === 0)
      return [
        {
          check: 'key',
          status: 'failed',
          detail:
            status === 0 ? 'What is there does not answer as the proxy does.' : `The proxy refuses it: ${code ?? 407}.`,
          fix: status === 0 ? 'Check --proxy-url and ALTER_PROXY_URL.' : 'Make another with `alter keys mint`.',
        },
      ];
    const accepted: Finding = { check: 'key', status: 'ok', detail: 'The proxy accepts it.', fix: null };
    if (status !== 200 || trusted === null) return [accepted];
    return [accepted, await judgeInterception(socket, host, trusted)];
  } catch (error) {
    return [{ check: 'key', status: 'failed', detail: `No answer of the proxy: ${reasonOf(error)}.`, fix: null }];
  } finally {
    socket.destroy();
  }
}

async function judgeInterception(socket: Socket, host: string, trusted: string): Promise<Finding> {
  const check = 'interception';
  const servername = host.replace(/:\d+$/, '');
  const secure = openTls({ socket, servername, ca: trusted, ALPNProtocols: ['http/1.1'] });
  try {
    await opened(secure, 'secureConnect');
    return {
      check,
      status: 'ok',
      detail: `The proxy opens up connections to ${servername}, and the CA fits.`,
      fix: null,
    };
  } catch (error) {
    return {
      check,
      status: 'failed',
      detail: `The certificate for ${servername} is not of the CA: ${reasonOf(error)}.`,
      fix: 'Name a host with --host that a secret allows: connections to others are passed on as they are. Or use the CA of this proxy: `alter ca show --fields certificate`, --ca or ALTER_CA_FILE.',
    };
  } finally {
    secure.destroy();
  }
}

function opened<S extends Socket>(socket: S, event: 'connect' | 'secureConnect'): Promise<S> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing within ${patienceMs / 1000} s`)), patienceMs);
    socket.once(event, () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
    socket.once('close', () => clearTimeout(timer));
    socket.once(event, () => clearTimeout(timer));
  });
}

function readHead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let head = '';
    const timer = setTimeout(() => reject(new Error(`nothing within ${patienceMs / 1000} s`)), patienceMs);
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n') && head.length < 16_384) return;
      clearTimeout(timer);
      socket.off('data', onData);
      socket.pause();
      resolve(head);
    };
    socket.on('data', onData);
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(head);
    });
  });
}

/** For people, without the address that they gave themselves. */
export function reasonOf(error: unknown, timeoutMs = patienceMs): string {
  if (error instanceof Failure) return error.detail;
  const code = systemCodeOf(error);
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name is not known';
  if (code === 'ABORT_ERR') return `no answer within ${timeoutMs / 1000} s`;
  return error instanceof Error && error.message !== '' ? error.message : (code ?? 'it failed');
}
