import { AlterError } from '../core/errors.ts';
import { formatHostHeader, type Origin, parseAuthority, sameAuthority } from '../core/origin.ts';
import type { RequestFraming } from './http/client-message.ts';
import { checkHandshake } from './http/handshake.ts';
import { byHeaderName } from './http/header-names.ts';

/** What the reader hands over, before anything is believed. */
export interface RawRequest {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  /** Flat, names and values by turns, in the order and spelling of the client. */
  readonly rawHeaders: readonly string[];
  /** `rawHeaders` is the same object as that of a request before: see `message-head.ts`. */
  readonly repeats?: boolean;
  /** The reader stopped behind the head, because it asks for a WebSocket. */
  readonly upgrade?: boolean;
}

/** A request that was read strictly: one canonical origin, our own tags taken out, only end-to-end headers left. */
export interface ParsedRequest {
  readonly origin: Origin;
  readonly method: string;
  /** Origin form as sent: path and query, byte for byte. */
  readonly target: string;
  /** End-to-end headers, flat; without Host, framing, hop-by-hop, `Proxy-*` and `X-Alter-*`. */
  readonly headers: readonly string[];
  /** `headers` is the same object as that of a request before. */
  readonly repeats: boolean;
  readonly body: RequestFraming;
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean;
  readonly tags: RequestTags;
  readonly proxyAuthorization: string | null;
}

export interface RequestTags {
  readonly grant: string | null;
  readonly reason: string | null;
  readonly caller: string | null;
  readonly context: string | null;
  /** X-Alter-User-Token: a JWT, not looked at yet. Never forwarded, and in no record or log. */
  readonly userToken: string | null;
}

export interface HeadLimits {
  readonly maxHeaders: number;
}

/** One header list, read once: singletons that occurred twice are refused, tags and hop-by-hop fields are taken out. */
interface ReadHead {
  readonly headers: readonly string[];
  readonly host: string | null;
  readonly contentLength: string | null;
  readonly transferEncoding: string | null;
  readonly expectsContinue: boolean;
  readonly proxyAuthorization: string | null;
  readonly tags: RequestTags;
  /** The tunnel that `host` was last found to agree with. */
  agreesWith: Origin | null;
}

const refusedMethods = new Set(['TRACE', 'TRACK', 'DEBUG', 'CONNECT']);
const visible = /^[\x21-\x22\x24-\x7e]+$/; // no controls, no space, no fragment, no bytes beyond ASCII
const maxTagLength = 1_024;
const maxUserTokenLength = 8_192;

/** A request inside an intercepted tunnel: whatever it says of its host must be what the tunnel was opened for. */
export function parseTunnelRequest(raw: RawRequest, tunnel: Origin, limits: HeadLimits): ParsedRequest {
  const head = readHead(raw, limits);
  const { origin, target } = readTarget(raw.url, tunnel);
  if (origin !== null && (origin.scheme !== tunnel.scheme || !sameAuthority(origin, tunnel)))
    throw new AlterError('authority_mismatch');
  if (head.agreesWith !== tunnel) {
    requireHost(head.host, tunnel, raw.httpVersion);
    if (head.host !== null) head.agreesWith = tunnel;
  }
  return assemble(raw, head, tunnel, target);
}

/** A request in absolute form, as it comes to the proxy port itself. */
export function parseProxyRequest(raw: RawRequest, limits: HeadLimits): ParsedRequest {
  const head = readHead(raw, limits);
  const { origin, target } = readTarget(raw.url, null);
  if (origin === null) {
    throw new AlterError('request_malformed', {
      detail: 'This is a proxy: a request to it names the whole URL, or is a CONNECT.',
      hint: 'Set HTTPS_PROXY to this address instead of calling it.',
    });
  }
  requireHost(head.host, origin, raw.httpVersion);
  return assemble(raw, head, origin, target);
}

/** A CONNECT that was read strictly. */
export interface ParsedConnect {
  readonly origin: Origin;
  readonly tags: RequestTags;
  readonly proxyAuthorization: string | null;
}

/** Of header lines with which clients open one tunnel after the other: the last target, and what was read then. */
const connects = new WeakMap<readonly string[], { readonly url: string; readonly connect: ParsedConnect }>();

/** A CONNECT: the target is `host:port`, and a Host header, where there is one, must agree. */
export function parseConnect(raw: RawRequest, limits: HeadLimits): ParsedConnect {
  const head = readHead(raw, limits);
  const known = connects.get(raw.rawHeaders);
  if (known?.url === raw.url) return known.connect;
  const connect = readConnect(raw.url, head);
  connects.set(raw.rawHeaders, { url: raw.url, connect });
  return connect;
}

function readConnect(target: string, head: ReadHead): ParsedConnect {
  const origin = parseAuthority(target, 'https', null);
  if (head.transferEncoding !== null || (head.contentLength !== null && head.contentLength !== '0')) {
    throw new AlterError('request_malformed', { detail: 'A CONNECT carries no body.' });
  }
  // Some clients send `Host: h` without the port of the target, so only the name has to agree there.
  // Most repeat the target letter by letter, and that is not read again.
  if (
    head.host !== null &&
    head.host !== target &&
    parseAuthority(head.host, 'https', origin.port).host !== origin.host
  )
    throw new AlterError('authority_mismatch');
  return { origin, tags: head.tags, proxyAuthorization: head.proxyAuthorization };
}

function assemble(raw: RawRequest, head: ReadHead, origin: Origin, target: string): ParsedRequest {
  if (refusedMethods.has(raw.method))
    throw new AlterError('method_refused', { detail: `${raw.method} is never forwarded.` });
  const body = readFraming(raw, head);
  if (raw.upgrade === true)
    checkHandshake({
      method: raw.method,
      httpVersion: raw.httpVersion,
      hasBody: body !== 'none',
      headers: head.headers,
    });
  return {
    origin,
    method: raw.method,
    target,
    headers: head.headers,
    repeats: raw.repeats === true,
    body,
    expectsContinue: head.expectsContinue && raw.httpVersion === '1.1' && body !== 'none',
    tags: head.tags,
    proxyAuthorization: head.proxyAuthorization,
  };
}

/** RFC 9112 section 6.3, without its leniencies: what two readers could frame differently is refused. */
function readFraming(raw: RawRequest, head: ReadHead): ParsedRequest['body'] {
  const { transferEncoding, contentLength } = head;
  if (transferEncoding !== null) {
    if (raw.httpVersion !== '1.1' || transferEncoding.toLowerCase() !== 'chunked' || contentLength !== null)
      throw new AlterError('request_malformed');
    return 'chunked';
  }
  if (contentLength === null) return 'none';
  if (!/^(?:0|[1-9]\d{0,15})$/.test(contentLength)) throw new AlterError('request_malformed');
  const bytes = Number(contentLength);
  if (!Number.isSafeInteger(bytes)) throw new AlterError('request_malformed');
  return bytes;
}

function readTarget(url: string, tunnel: Origin | null): { readonly origin: Origin | null; readonly target: string } {
  if (!visible.test(url))
    throw new AlterError('request_malformed', {
      detail: 'The request target holds characters that a URL can not hold.',
    });
  if (url.startsWith('/')) return { origin: null, target: url };
  const absolute = /^(https?):\/\/([^/?]*)(\/[^?]*)?(\?.*)?$/i.exec(url);
  if (absolute === null) {
    const what = tunnel === null ? 'an http:// or https:// URL' : 'a path';
    throw new AlterError('request_malformed', { detail: `The request target must be ${what}.` });
  }
  const scheme = absolute[1]!.toLowerCase() as Origin['scheme'];
  const origin = parseAuthority(absolute[2]!, scheme, scheme === 'https' ? 443 : 80);
  return { origin, target: (absolute[3] ?? '/') + (absolute[4] ?? '') };
}

function requireHost(host: string | null, origin: Origin, httpVersion: string): void {
  if (host === null) {
    if (httpVersion === '1.0') return; // legal there, and the tunnel or the absolute form has named the host
    throw new AlterError('request_malformed', { detail: 'The Host header is missing.' });
  }
  if (host === formatHostHeader(origin)) return; // as nearly every client writes it
  if (!sameAuthority(parseAuthority(host, origin.scheme, origin.scheme === 'https' ? 443 : 80), origin)) {
    throw new AlterError('authority_mismatch');
  }
}

/** Of header lines that come again, so that they are read once. */
const repeated = new WeakMap<readonly string[], ReadHead>();

function readHead(raw: RawRequest, limits: HeadLimits): ReadHead {
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0')
    throw new AlterError('request_malformed', { detail: 'Only HTTP/1.1 and HTTP/1.0 are spoken here.' });
  const { rawHeaders } = raw;
  if (rawHeaders.length > limits.maxHeaders * 2) {
    throw new AlterError('headers_too_large', { detail: `The request has more than ${limits.maxHeaders} headers.` });
  }
  if (raw.repeats !== true) return readHeaders(rawHeaders);
  let head = repeated.get(rawHeaders);
  if (head === undefined) {
    head = readHeaders(rawHeaders);
    repeated.set(rawHeaders, head);
  }
  return head;
}

type Singleton = 'host' | 'content-length' | 'transfer-encoding' | 'proxy-authorization' | 'expect';
/** What is done with a header: `hop` ends here, `own` is a tag or passes for one, `twin` is refused. */
type Role = Singleton | 'nominates' | 'hop' | 'own' | 'twin' | 'end-to-end';

const roleOf = byHeaderName((name): Role => {
  switch (name) {
    case 'host':
    case 'content-length':
    case 'transfer-encoding':
    case 'proxy-authorization':
    case 'expect':
      return name;
    case 'connection':
    case 'proxy-connection':
      return 'nominates';
    case 'keep-alive':
    case 'te':
    case 'trailer':
    case 'upgrade':
    case 'http2-settings':
      return 'hop';
    default:
      if (name.startsWith('x-alter-')) return 'own';
      if (name.startsWith('proxy-')) return 'hop';
      return name.includes('_') && isTwin(name) ? 'twin' : 'end-to-end';
  }
});

/** Looks at nothing but these headers: what it gives is good for every request that has them. */
function readHeaders(rawHeaders: readonly string[]): ReadHead {
  const kept: string[] = [];
  const found: Record<Singleton, string | null> = {
    host: null,
    'content-length': null,
    'transfer-encoding': null,
    'proxy-authorization': null,
    expect: null,
  };
  const tags: { -readonly [name in keyof RequestTags]: string | null } = {
    grant: null,
    reason: null,
    caller: null,
    context: null,
    userToken: null,
  };
  let nominated: Set<string> | null = null;

  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const value = rawHeaders[i + 1]!;
    const role = roleOf(name);
    switch (role) {
      case 'end-to-end':
        kept.push(name, value);
        continue;
      case 'hop':
        continue;
      case 'own':
        readTag(name.toLowerCase(), value, tags);
        continue;
      case 'nominates':
        nominated = nominate(value, nominated);
        continue;
      case 'twin':
        throw new AlterError('request_malformed', {
          detail: `The header ${name.toLowerCase()} is a second spelling of one that the proxy reads itself.`,
        });
      default:
        if (found[role] !== null)
          throw new AlterError('request_malformed', { detail: `The header ${role} occurs twice.` });
        found[role] = value;
    }
  }
  if (found.expect !== null && found.expect.toLowerCase() !== '100-continue') {
    throw new AlterError('request_malformed', { detail: 'The only expectation that is understood is 100-continue.' });
  }
  return {
    headers: nominated === null ? kept : withoutNominated(kept, nominated),
    host: found.host,
    contentLength: found['content-length'],
    transferEncoding: found['transfer-encoding'],
    expectsContinue: found.expect !== null,
    proxyAuthorization: found['proxy-authorization'],
    tags,
    agreesWith: null,
  };
}

/** What is read and written by the hop itself, and has a dash in its name. */
const dashedOfHop: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'http2-settings',
]);

/**
 * `X_Alter_Grant`, `Content_Length` and the like: CGI-style servers read `_` and `-` as one character, so such a twin is a
 * smuggled tag, or a framing beside the real one.
 */
function isTwin(name: string): boolean {
  const dashed = name.replaceAll('_', '-');
  return dashed.startsWith('x-alter-') || dashed.startsWith('proxy-') || dashedOfHop.has(dashed);
}

/** RFC 9110 section 7.6.1: what Connection names is for this hop only. */
function nominate(value: string, into: Set<string> | null): Set<string> {
  const names = into ?? new Set<string>();
  for (const name of value.split(',')) names.add(name.trim().toLowerCase());
  return names;
}

function withoutNominated(headers: readonly string[], nominated: ReadonlySet<string>): string[] {
  const left: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!nominated.has(headers[i]!.toLowerCase())) left.push(headers[i]!, headers[i + 1]!);
  }
  return left;
}

const tagOfHeader: Readonly<Record<string, keyof RequestTags>> = {
  'x-alter-grant': 'grant',
  'x-alter-reason': 'reason',
  'x-alter-caller': 'caller',
  'x-alter-context': 'context',
  'x-alter-user-token': 'userToken',
};

function readTag(name: string, value: string, tags: { -readonly [tag in keyof RequestTags]: string | null }): void {
  if (!Object.hasOwn(tagOfHeader, name)) return; // taken out like the rest, and means nothing
  const tag = tagOfHeader[name]!;
  if (tags[tag] !== null) throw new AlterError(codeOfTag(tag), { detail: `The header ${name} occurs twice.` });
  if (tag === 'grant' && !/^[0-9a-f-]{36}$/.test(value)) throw new AlterError('grant_header_invalid');
  const maxLength = tag === 'userToken' ? maxUserTokenLength : maxTagLength;
  if (value.length > maxLength || /[^\x20-\x7e]/.test(value)) {
    throw new AlterError(tag === 'userToken' ? 'user_token_invalid' : 'request_malformed', {
      detail: `The header ${name} must be plain ASCII of at most ${maxLength} characters.`,
    });
  }
  tags[tag] = value;
}

/** What is wrong with a tag that occurs twice. */
function codeOfTag(tag: keyof RequestTags): 'grant_header_invalid' | 'user_token_invalid' | 'request_malformed' {
  if (tag === 'grant') return 'grant_header_invalid';
  return tag === 'userToken' ? 'user_token_invalid' : 'request_malformed';
}
