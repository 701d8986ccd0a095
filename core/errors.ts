/**
 * The one catalogue of refusals and failures. `docs/errors.md` is held to it by a test, in both directions.
 *
 * `proxyStatus` is the RFC 9209 error type that the data plane reports in `Proxy-Status`; `exit` is the exit code of the
 * CLI when the admin API answers with this code.
 */
interface ErrorKind {
  readonly status: number;
  readonly proxyStatus: string;
  readonly exit: number;
  /** What is wrong, in the user's words, when the place that raises it has nothing more precise to say. */
  readonly detail: string;
  /** What to do about it. */
  readonly hint: string;
}

const denied = 'http_request_denied';
const malformed = 'http_request_error';
const internal = 'proxy_internal_error';

export const errorTable = {
  request_malformed: {
    status: 400,
    proxyStatus: malformed,
    exit: 2,
    detail: 'The request is not valid HTTP/1.1, or is framed ambiguously.',
    hint: 'Send each of Host, Content-Length and Transfer-Encoding at most once, in the form of RFC 9112.',
  },
  grant_header_invalid: {
    status: 400,
    proxyStatus: malformed,
    exit: 2,
    detail: 'X-Alter-Grant must hold exactly one grant or delegation id.',
    hint: 'Send one X-Alter-Grant header with one id, without commas.',
  },
  grant_not_found: {
    status: 403,
    proxyStatus: denied,
    exit: 4,
    detail: 'No such grant in the app of this key.',
    hint: 'Run `alter managed-secrets grants list <secret>` and use one of its grant ids.',
  },
  grant_expired: {
    status: 403,
    proxyStatus: denied,
    exit: 1,
    detail: 'The grant has expired.',
    hint: 'Create a new grant, or extend it with `alter managed-secrets grants update <grant> --expires-at …`.',
  },
  grant_revoked: {
    status: 403,
    proxyStatus: denied,
    exit: 1,
    detail: 'The grant was revoked, or its secret was deleted.',
    hint: 'Create a new grant with `alter managed-secrets grants create <secret>`.',
  },
  principal_mismatch: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The grant belongs to another principal.',
    hint: 'Use a grant that was created for the principal of this key.',
  },
  insufficient_scope: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The key or token does not carry the scope that this needs.',
    hint: 'Mint a key or token with the scope that the message names.',
  },
  policy_violation: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'A policy of the app, secret, agent, grant or key refuses this request.',
    hint: 'The field policy_error names the rule.',
  },
  host_not_allowed: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The secret of this grant may not be sent to this host.',
    hint: 'Add the host with `alter managed-secrets set-allowed-hosts <secret> --host …`, if it is meant to receive it.',
  },
  address_forbidden: {
    status: 403,
    proxyStatus: 'destination_ip_prohibited',
    exit: 7,
    detail: 'The host resolves to an address that must not be dialled.',
    hint: 'Private, loopback and reserved addresses need an entry in ALTER_ALLOW_ADDRESSES.',
  },
  plaintext_forbidden: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'A credential is sent over TLS only, and this target is http://.',
    hint: 'Use the https:// address of the API.',
  },
  egress_denied: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'Traffic without a grant is not let through here (ALTER_EGRESS_MODE=deny).',
    hint: 'Name a grant with X-Alter-Grant, or ask the operator to allow untagged traffic.',
  },
  app_archived: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The app of this key is archived: nothing of it works.',
    hint: 'Use a key of another app, or take this one back into use with `alter apps unarchive`.',
  },
  user_token_invalid: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The token in X-Alter-User-Token is missing or was not accepted.',
    hint: 'Send a current JWT of an identity provider that the app knows.',
  },
  method_refused: {
    status: 405,
    proxyStatus: denied,
    exit: 2,
    detail: 'This method is never forwarded.',
    hint: 'TRACE, TRACK, DEBUG and a CONNECT inside a tunnel are refused.',
  },
  authority_mismatch: {
    status: 421,
    proxyStatus: denied,
    exit: 2,
    detail: 'CONNECT target, SNI, Host and request target do not name the same host.',
    hint: 'Send the request to the host that the tunnel was opened for.',
  },
  proxy_auth_required: {
    status: 407,
    proxyStatus: denied,
    exit: 3,
    detail: 'The proxy needs a runtime key.',
    hint: 'Set HTTPS_PROXY=http://x:KEY@host:port with a key from `alter keys mint`.',
  },
  key_invalid: {
    status: 407,
    proxyStatus: denied,
    exit: 3,
    detail: 'The key is not known here, or is mistyped.',
    hint: 'Use the key as `alter keys mint` printed it.',
  },
  key_expired: {
    status: 407,
    proxyStatus: denied,
    exit: 3,
    detail: 'The key has expired.',
    hint: 'Mint a new key with `alter keys mint`.',
  },
  key_revoked: {
    status: 407,
    proxyStatus: denied,
    exit: 3,
    detail: 'The key was revoked.',
    hint: 'Mint a new key with `alter keys mint`.',
  },
  ambiguous_grant: {
    status: 409,
    proxyStatus: denied,
    exit: 5,
    detail: 'Several grants of this caller fit this host.',
    hint: 'Name one with X-Alter-Grant.',
  },
  body_too_large_to_sign: {
    status: 413,
    proxyStatus: denied,
    exit: 1,
    detail: 'The body is too large to be signed in memory.',
    hint: 'Send x-amz-content-sha256 with the digest of the body, or UNSIGNED-PAYLOAD.',
  },
  headers_too_large: {
    status: 431,
    proxyStatus: malformed,
    exit: 1,
    detail: 'The head of the request is larger than the limit.',
    hint: 'Send fewer or shorter headers, or raise ALTER_MAX_HEADER_BYTES.',
  },
  rate_limited: {
    status: 429,
    proxyStatus: denied,
    exit: 6,
    detail: 'Too many requests.',
    hint: 'Wait for the time in Retry-After.',
  },
  upstream_dns: {
    status: 502,
    proxyStatus: 'dns_error',
    exit: 1,
    detail: 'The name of the upstream could not be resolved.',
    hint: 'Check the host name, and the resolver of the machine that runs the proxy.',
  },
  upstream_refused: {
    status: 502,
    proxyStatus: 'connection_refused',
    exit: 1,
    detail: 'The upstream could not be reached.',
    hint: 'Check that the upstream is up and reachable from the machine that runs the proxy.',
  },
  upstream_tls: {
    status: 502,
    proxyStatus: 'tls_certificate_error',
    exit: 1,
    detail: 'The TLS connection to the upstream could not be verified.',
    hint: 'If the upstream uses a private CA, add it to ALTER_UPSTREAM_CA.',
  },
  upstream_protocol: {
    status: 502,
    proxyStatus: 'http_protocol_error',
    exit: 1,
    detail: 'The upstream answered with something that is not valid HTTP/1.1 or may not be passed on.',
    hint: 'Look at the upstream; the proxy has closed the connection to it.',
  },
  upstream_incomplete: {
    status: 502,
    proxyStatus: 'http_response_incomplete',
    exit: 1,
    detail: 'The upstream closed the connection before its answer was complete.',
    hint: 'Repeat the request if it is safe to repeat.',
  },
  upstream_timeout: {
    status: 504,
    proxyStatus: 'http_response_timeout',
    exit: 1,
    detail: 'The upstream did not answer in time.',
    hint: 'Repeat the request if it is safe to repeat, or raise the time limit that the message names.',
  },
  state_unavailable: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'The store has not been reachable for longer than ALTER_MAX_STALENESS.',
    hint: 'Check the store; the proxy recovers by itself when the store is back.',
  },
  not_durable: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'The change was made, but too few replicas of the store confirmed it in time: it may be lost or stand.',
    hint: 'Look whether it is there, and make it again if not. Check the replicas, and ALTER_STORE_DURABILITY.',
  },
  state_invalid: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'A stored record was changed outside this service, or cannot be opened with the keys given.',
    hint: 'Look at the security events in the log, and check ALTER_ROOT_KEY.',
  },
  state_rollback: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'The store has an older state than was seen of it before.',
    hint: 'Put the newest state back into the store, or accept this one with `alter state reanchor`: what was revoked since is then valid again.',
  },
  kms_unavailable: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'The service that wraps the keys of the apps could not be used.',
    hint: 'Check ALTER_KMS_URL, its credentials, and that the service is up; apps that are in memory are served on.',
  },
  backup_invalid: {
    status: 422,
    proxyStatus: malformed,
    exit: 1,
    detail: 'The backup is damaged, not complete, or not one of this service.',
    hint: 'Nothing was changed. Take another copy of the backup, and the root key that it was made under.',
  },
  audit_unavailable: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'The audit record could not be written, so the request was not sent.',
    hint: 'Check the audit store and ALTER_AUDIT_FILE; the proxy recovers by itself.',
  },
  overloaded: {
    status: 503,
    proxyStatus: 'connection_limit_reached',
    exit: 1,
    detail: 'The proxy has reached one of its limits.',
    hint: 'Repeat the request later, or raise the limit that the message names.',
  },
  draining: {
    status: 503,
    proxyStatus: internal,
    exit: 1,
    detail: 'This process is shutting down.',
    hint: 'Repeat the request; another replica will take it.',
  },
  internal_error: {
    status: 500,
    proxyStatus: internal,
    exit: 1,
    detail: 'Something went wrong inside the service.',
    hint: 'The log line with this request_id says more.',
  },
  config_invalid: {
    status: 500,
    proxyStatus: internal,
    exit: 2,
    detail: 'The configuration is not valid.',
    hint: 'Mend every setting that is named.',
  },
  unauthenticated: {
    status: 401,
    proxyStatus: denied,
    exit: 3,
    detail: 'A valid personal access token is needed.',
    hint: 'Set ALTER_PAT, or run `alter auth login`.',
  },
  not_found: {
    status: 404,
    proxyStatus: denied,
    exit: 4,
    detail: 'There is no such object in this app.',
    hint: 'List what there is, and check the id or slug.',
  },
  conflict: {
    status: 409,
    proxyStatus: denied,
    exit: 5,
    detail: 'The object is in the way of this change, or another object depends on it.',
    hint: 'Look at the object again and repeat the change.',
  },
  idempotency_pending: {
    status: 409,
    proxyStatus: denied,
    exit: 5,
    detail: 'A request with this Idempotency-Key has begun, and what became of it is not known yet.',
    hint: 'Ask again in a moment. Should this go on for minutes: list the objects, and use another key if yours is not there.',
  },
  idempotency_mismatch: {
    status: 422,
    proxyStatus: denied,
    exit: 2,
    detail: 'This Idempotency-Key belongs to another request.',
    hint: 'Make a new key for each thing that is to be made, and repeat a request as it was.',
  },
  revision_conflict: {
    status: 412,
    proxyStatus: denied,
    exit: 5,
    detail: 'The object was changed by somebody else in the meantime.',
    hint: 'Read the object again and repeat the change.',
  },
  validation_failed: {
    status: 422,
    proxyStatus: denied,
    exit: 2,
    detail: 'A field of the request is not valid.',
    hint: 'The list `problems` names each field.',
  },
  unsupported_media_type: {
    status: 415,
    proxyStatus: denied,
    exit: 2,
    detail: 'The body must be application/json.',
    hint: 'Send Content-Type: application/json.',
  },
  payload_too_large: {
    status: 413,
    proxyStatus: denied,
    exit: 2,
    detail: 'The body is larger than the limit.',
    hint: 'Send a smaller body.',
  },
  method_not_allowed: {
    status: 405,
    proxyStatus: denied,
    exit: 2,
    detail: 'The resource does not answer to this method.',
    hint: 'GET /openapi.json lists what there is.',
  },
  host_unknown: {
    status: 421,
    proxyStatus: denied,
    exit: 2,
    detail: 'The Host header does not name this admin service.',
    hint: 'Call the service by its own address, or add the name to ALTER_ADMIN_HOSTS.',
  },
  origin_forbidden: {
    status: 403,
    proxyStatus: denied,
    exit: 7,
    detail: 'The admin API is not for web pages.',
    hint: 'Call it from the CLI or a server, without an Origin header.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

export const policyErrors = [
  'time_outside_window',
  'time_wrong_weekday',
  'ip_not_allowed',
  'method_not_allowed',
  'path_not_allowed',
  'reason_required',
  'rate_limited',
  'policy_unreadable',
] as const;
export type PolicyError = (typeof policyErrors)[number];

/** One thing that is wrong with an input: `field` is the path to it, in the user's notation. */
export interface Problem {
  readonly field: string;
  readonly message: string;
}

export interface ErrorOptions {
  /** Shown to the caller: never put a credential, a header value or a stack in it. */
  readonly detail?: string;
  readonly hint?: string;
  readonly policyError?: PolicyError;
  readonly problems?: readonly Problem[];
  readonly retryAfterSeconds?: number;
  /** Kept for the log only; never shown to a caller. */
  readonly cause?: unknown;
}

/** The only error that this project raises on purpose. Everything else that is thrown is a bug and answers `internal_error`. */
export class AlterError extends Error {
  override readonly name = 'AlterError';
  readonly code: ErrorCode;
  readonly detail: string;
  readonly hint: string;
  readonly policyError: PolicyError | undefined;
  readonly problems: readonly Problem[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    const kind = errorTable[code];
    const detail = options.detail ?? kind.detail;
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = detail;
    this.hint = options.hint ?? kind.hint;
    this.policyError = options.policyError;
    this.problems = options.problems;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

export function toAlterError(error: unknown): AlterError {
  return error instanceof AlterError ? error : new AlterError('internal_error', { cause: error });
}

/** The problem+json body (RFC 9457) of a refusal, the same at the proxy and at the admin API. */
export function problemDocument(error: AlterError, requestId: string): Record<string, unknown> {
  return {
    type: `urn:alter-egress:error:${error.code}`,
    title: error.code.replaceAll('_', ' '),
    status: error.status,
    code: error.code,
    detail: error.detail,
    ...(error.policyError === undefined ? {} : { policy_error: error.policyError }),
    hint: error.hint,
    ...(error.problems === undefined ? {} : { problems: error.problems }),
    request_id: requestId,
  };
}
