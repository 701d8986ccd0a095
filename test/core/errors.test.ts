import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import {
  AlterError,
  type ErrorCode,
  errorTable,
  policyErrors,
  problemDocument,
  toAlterError,
} from '../../core/errors.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

/** The codes that a workload is promised, with their status. */
const promised: Readonly<Record<number, readonly string[]>> = {
  400: ['request_malformed', 'grant_header_invalid'],
  403: [
    ...[
      'grant_not_found',
      'grant_expired',
      'grant_revoked',
      'principal_mismatch',
      'insufficient_scope',
      'policy_violation',
    ],
    ...['host_not_allowed', 'address_forbidden', 'plaintext_forbidden', 'egress_denied', 'user_token_invalid'],
  ],
  405: ['method_refused'],
  421: ['authority_mismatch'],
  407: ['proxy_auth_required', 'key_invalid', 'key_expired', 'key_revoked'],
  409: ['ambiguous_grant'],
  413: ['body_too_large_to_sign'],
  431: ['headers_too_large'],
  429: ['rate_limited'],
  502: ['upstream_dns', 'upstream_refused', 'upstream_tls', 'upstream_protocol', 'upstream_incomplete'],
  504: ['upstream_timeout'],
  503: ['state_unavailable', 'state_invalid', 'audit_unavailable', 'overloaded', 'draining'],
};

/** RFC 9209, section 2.3: the error types that are registered and that we use. */
const proxyStatusTypes = [
  ...['dns_error', 'connection_refused', 'tls_certificate_error', 'http_protocol_error', 'http_response_incomplete'],
  ...['http_response_timeout', 'http_request_error', 'http_request_denied', 'destination_ip_prohibited'],
  ...['connection_limit_reached', 'proxy_internal_error'],
];

describe('the table of errors', () => {
  it.each(Object.entries(promised).flatMap(([status, names]) => names.map((name) => [name, Number(status)] as const)))(
    '%s answers with %i',
    (name, status) => {
      expect(errorTable[name as ErrorCode].status).toBe(status);
    },
  );

  it.each(codes)('%s is complete and speaks in sentences', (code) => {
    const kind = errorTable[code];
    expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(kind.status).toBeGreaterThanOrEqual(400);
    expect(kind.status).toBeLessThan(600);
    expect(proxyStatusTypes).toContain(kind.proxyStatus);
    expect([1, 2, 3, 4, 5, 6, 7]).toContain(kind.exit);
    expect(kind.detail).toMatch(/^[A-Z].*\.$/);
    expect(kind.hint).toMatch(/^[A-Z].*\.$/);
    expect(kind.hint).not.toBe(kind.detail);
  });

  it('keeps to the exit codes of the command', () => {
    for (const code of codes) {
      const { status, exit } = errorTable[code];
      if (status === 401 || status === 407) expect(exit).toBe(3);
      if (status === 404) expect(exit).toBe(4);
      if (status === 409 || status === 412) expect(exit).toBe(5);
      if (status === 429) expect(exit).toBe(6);
      if (status >= 500 && code !== 'config_invalid') expect(exit).toBe(1);
    }
  });

  it('has the policy errors that a workload is promised', () => {
    expect([...policyErrors].sort()).toEqual([
      ...[
        'ip_not_allowed',
        'method_not_allowed',
        'path_not_allowed',
        'policy_unreadable',
        'rate_limited',
        'reason_required',
      ],
      ...['time_outside_window', 'time_wrong_weekday'],
    ]);
  });
});

describe('an error', () => {
  it('says what the table says, unless the place that raises it knows better', () => {
    const plain = new AlterError('grant_not_found');
    expect(plain).toMatchObject({ name: 'AlterError', code: 'grant_not_found', status: 403 });
    expect([plain.detail, plain.hint]).toEqual([errorTable.grant_not_found.detail, errorTable.grant_not_found.hint]);
    const precise = new AlterError('host_not_allowed', { detail: 'Not there.', hint: 'Go elsewhere.' });
    expect(precise).toMatchObject({
      status: 403,
      detail: 'Not there.',
      hint: 'Go elsewhere.',
      message: 'host_not_allowed: Not there.',
    });
  });

  it('keeps its cause for the log and out of the answer', () => {
    const error = toAlterError(new Error('password=hunter2'));
    expect(error).toMatchObject({ code: 'internal_error', status: 500 });
    expect((error.cause as Error).message).toBe('password=hunter2');
    expect(JSON.stringify(problemDocument(error, 'r1'))).not.toContain('hunter2');
    expect(error.message).not.toContain('hunter2');
    expect(inspect(problemDocument(error, 'r1'))).not.toContain('hunter2');
  });

  it('that is one already stays the same', () => {
    const error = new AlterError('draining');
    expect(toAlterError(error)).toBe(error);
    for (const thrown of [undefined, null, 'text', 7, {}]) expect(toAlterError(thrown).code).toBe('internal_error');
  });
});

describe('a problem document', () => {
  it.each(codes)('of %s has the fields of RFC 9457 and ours, and nothing else', (code) => {
    const document = problemDocument(new AlterError(code), 'req-1');
    expect(document).toEqual({
      type: `urn:alter-egress:error:${code}`,
      title: code.replaceAll('_', ' '),
      status: errorTable[code].status,
      code,
      detail: errorTable[code].detail,
      hint: errorTable[code].hint,
      request_id: 'req-1',
    });
  });

  it('names the policy error and the problems where there are some', () => {
    const problems = [{ field: 'name', message: 'is missing' }];
    expect(problemDocument(new AlterError('policy_violation', { policyError: 'ip_not_allowed' }), 'r')).toMatchObject({
      policy_error: 'ip_not_allowed',
    });
    expect(problemDocument(new AlterError('validation_failed', { problems }), 'r')).toMatchObject({ problems });
  });
});
