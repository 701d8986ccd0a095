import type { IncomingMessage } from 'node:http';
import { type ErrorCode, errorTable, type Problem } from '../core/errors.ts';
import { findToken } from '../core/token.ts';
import { exitCodes, Failure, systemCodeOf, usageFailure } from './failure.ts';
import type { JsonObject } from './present.ts';

const maxAnswerBytes = 16 * 1024 * 1024;

export interface AdminAccess {
  readonly url: URL;
  /** The personal access token. */
  readonly token: string;
  /** From the start of a request to the last byte of its answer. */
  readonly timeoutMs: number;
}

/**
 * Where the admin API is. Throws a usage failure for anything but a plain http(s) URL, and for `http://` to another machine
 * unless `allowPlaintext`: everybody on the way could read the token.
 */
export function parseAdminUrl(text: string, allowPlaintext: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw usageFailure(
      `--admin-url: "${text}" is not an http:// or https:// address.`,
      'For example http://127.0.0.1:4180, or set ALTER_ADMIN_URL.',
    );
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw usageFailure('--admin-url: the address must hold no user, password, query or fragment.');
  if (url.protocol === 'http:' && !allowPlaintext && !isLoopback(url.hostname))
    throw usageFailure(
      `--admin-url: the token would cross the network to ${url.hostname} in the clear.`,
      'Use https://, or --insecure-http where the network itself is trusted.',
    );
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/** Throws with exit code 3 where there is no token or it has not the form of one: another kind of secret is never sent. */
export function parseAccessToken(text: string | null, source = 'ALTER_PAT'): string {
  const hint =
    'Set ALTER_PAT to a personal access token (alter_pat_…), for example with `. .alter/operator.env`, or keep one with `alter auth login`.';
  if (text === null)
    throw new Failure({
      exit: exitCodes.notSignedIn,
      code: 'unauthenticated',
      detail: 'Not signed in: ALTER_PAT is not set.',
      hint,
    });
  if (findToken(text)?.kind !== 'pat')
    throw new Failure({
      exit: exitCodes.notSignedIn,
      code: 'unauthenticated',
      detail: `${source} does not hold a personal access token, or it is mistyped.`,
      hint,
    });
  return text;
}

/** One part of a path. Throws a usage failure for what no id, slug or name can be: `.` and `..` would climb out of the path. */
export function pathPart(text: string, input: string): string {
  if (text === '' || /^\.{1,2}$/.test(text) || /[\p{Cc}\p{Cs}]/u.test(text) || text.length > 256)
    throw usageFailure(`${input}: this is not an id, slug or name.`);
  return encodeURIComponent(text);
}

/** Speaks JSON to the admin API. Every failure is a {@link Failure} with the exit code of its cause. */
export class AdminClient {
  readonly #access: AdminAccess;

  constructor(access: AdminAccess) {
    this.#access = access;
  }

  /** Undefined and null parameters are left out. */
  async get(
    path: string,
    query: Readonly<Record<string, string | number | null | undefined>> = {},
  ): Promise<JsonObject> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query))
      if (value !== null && value !== undefined) parameters.set(name, String(value));
    const search = parameters.toString();
    return expectObject(await this.#exchange('GET', search === '' ? path : `${path}?${search}`, null));
  }

  async post(path: string, body: JsonObject): Promise<JsonObject> {
    return expectObject(await this.#exchange('POST', path, body));
  }

  async put(path: string, body: JsonObject | null): Promise<JsonObject> {
    return expectObject(await this.#exchange('PUT', path, body));
  }

  async patch(path: string, body: JsonObject): Promise<JsonObject> {
    return expectObject(await this.#exchange('PATCH', path, body));
  }

  /** The answer, or null where there is nothing left to say. */
  async delete(path: string, query: Readonly<Record<string, string>> = {}): Promise<JsonObject | null> {
    const search = new URLSearchParams(query).toString();
    const answer = await this.#exchange('DELETE', search === '' ? path : `${path}?${search}`, null);
    return answer === null ? null : expectObject(answer);
  }

  /** The parsed body of a 2xx answer; null where it is empty. */
  async #exchange(method: string, path: string, body: JsonObject | null): Promise<unknown> {
    const { url, token, timeoutMs } = this.#access;
    const payload = body === null ? null : Buffer.from(JSON.stringify(body));
    // Imported here, since it takes a tenth of the time that `alter --help` has.
    const http = await (url.protocol === 'https:' ? import('node:https') : import('node:http'));
    const answer = await new Promise<Answer>((resolve, reject) => {
      const request = http.request(
        {
          // Of its own, so that it knows neither NODE_USE_ENV_PROXY nor HTTPS_PROXY: the token goes to the admin service only.
          agent: new http.Agent(),
          method,
          hostname: url.hostname.replace(/^\[|\]$/g, ''),
          port: url.port === '' ? undefined : url.port,
          path: url.pathname.replace(/\/$/, '') + path,
          headers: {
            Authorization: `Bearer ${token}`,
            Accept: 'application/json, application/problem+json',
            ...(payload === null ? {} : { 'Content-Type': 'application/json', 'Content-Length': payload.length }),
          },
          signal: AbortSignal.timeout(timeoutMs),
        },
        (response) => void collect(response).then(resolve, reject),
      );
      request.on('error', reject);
      request.end(payload ?? undefined);
    }).catch((error: unknown) => {
      throw error instanceof Failure ? error : this.#unreachable(error);
    });
    return this.#read(answer);
  }

  #read({ status, type, location, text }: Answer): unknown {
    const value = parseJson(text);
    if (status >= 200 && status < 300) {
      if (text === '') return null;
      if (value === undefined) throw this.#notAdmin('its answer is not JSON');
      return value;
    }
    if (status >= 300 && status < 400)
      throw this.#notAdmin(
        `it redirects${location === null ? '' : ` to ${location.slice(0, 200)}`}, and a token is never sent along`,
      );
    const problem = isObject(value) && typeof value.code === 'string' ? value : null;
    if (problem === null || !type.includes('json'))
      throw this.#notAdmin(`it answered ${status}`, exitOfForeignStatus(status));
    throw new Failure({
      exit: Object.hasOwn(errorTable, problem.code as string)
        ? errorTable[problem.code as ErrorCode].exit
        : (exitOfStatus(status) ?? exitCodes.error), // a newer service may know codes that this release does not
      code: problem.code as string,
      detail: typeof problem.detail === 'string' ? problem.detail : `The admin service answered ${status}.`,
      hint: typeof problem.hint === 'string' ? problem.hint : null,
      problems: Array.isArray(problem.problems) ? problem.problems.filter(isProblem) : [],
      requestId: typeof problem.request_id === 'string' ? problem.request_id : null,
    });
  }

  #unreachable(error: unknown): Failure {
    const { origin } = this.#access.url;
    const isTimeout = systemCodeOf(error) === 'ABORT_ERR';
    const why = isTimeout ? `no answer within ${this.#access.timeoutMs / 1000} s` : describeConnection(error);
    return new Failure({
      exit: exitCodes.unreachable,
      code: 'admin_unreachable',
      detail: `The admin service at ${origin} can't be reached: ${why}.`,
      hint: 'Start it with `alter serve`, or name another with --admin-url or ALTER_ADMIN_URL.',
    });
  }

  #notAdmin(why: string, exit: number = exitCodes.error): Failure {
    return new Failure({
      exit,
      code: 'admin_answer_invalid',
      detail: `What is at ${this.#access.url.origin} does not answer as the admin service does: ${why}.`,
      hint: 'Check --admin-url and ALTER_ADMIN_URL.',
    });
  }
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly location: string | null;
  readonly text: string;
}

async function collect(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes)
      throw new Failure({
        exit: exitCodes.error,
        code: 'admin_answer_invalid',
        detail: `The answer of the admin service is larger than ${maxAnswerBytes / 1024 / 1024} MiB.`,
        hint: 'Ask for less with --limit.',
      });
    chunks.push(chunk);
  }
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    location: response.headers.location ?? null,
    text: Buffer.concat(chunks).toString('utf8'),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function expectObject(value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new Failure({
    exit: exitCodes.error,
    code: 'admin_answer_invalid',
    detail: 'The admin service answered with something that is not a JSON object.',
    hint: 'Check --admin-url and ALTER_ADMIN_URL.',
  });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isProblem(value: unknown): value is Problem {
  return isObject(value) && typeof value.field === 'string' && typeof value.message === 'string';
}

/**
 * For answers that are not ours. A load balancer in front of the service says 429 or 502 to 504 on its own; but the 404 of
 * some other server must not tell a script that a secret does not exist.
 */
function exitOfForeignStatus(status: number): number | undefined {
  return status === 429 || (status >= 502 && status <= 504) ? exitOfStatus(status) : undefined;
}

function exitOfStatus(status: number): number | undefined {
  switch (status) {
    case 401:
      return exitCodes.notSignedIn;
    case 403:
      return exitCodes.forbidden;
    case 404:
      return exitCodes.notFound;
    case 409:
    case 412:
      return exitCodes.conflict;
    case 400:
    case 422:
      return exitCodes.usage;
    case 429:
      return exitCodes.rateLimited;
    case 502:
    case 503:
    case 504:
      return exitCodes.unreachable;
    default:
      return undefined;
  }
}

function describeConnection(error: unknown): string {
  const code = systemCodeOf(error);
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name is not known';
    case 'ECONNRESET':
      return 'the connection was cut';
    case null:
      return 'the connection failed';
    default:
      return code;
  }
}
