/**
 * Writes docs/errors.md and docs/config.md from the tables in the code: `npm run docs`. A test compares the
 * files with what this makes, so neither can say something else than the other.
 */
import { writeFileSync } from 'node:fs';
import { commandVariables, fileSettingNames, settingSections } from '../core/config.ts';
import { type ErrorCode, errorTable, type PolicyError, policyErrors } from '../core/errors.ts';

/** Who meets a code: a workload at the proxy, an operator at the admin API, both, or whoever starts the service. */
const places: Readonly<Record<ErrorCode, 'proxy' | 'admin' | 'both' | 'start'>> = {
  request_malformed: 'both',
  grant_header_invalid: 'proxy',
  grant_not_found: 'proxy',
  grant_expired: 'proxy',
  grant_revoked: 'proxy',
  principal_mismatch: 'proxy',
  insufficient_scope: 'both',
  policy_violation: 'proxy',
  host_not_allowed: 'proxy',
  address_forbidden: 'proxy',
  plaintext_forbidden: 'proxy',
  egress_denied: 'proxy',
  app_archived: 'proxy',
  user_token_invalid: 'proxy',
  method_refused: 'proxy',
  authority_mismatch: 'proxy',
  proxy_auth_required: 'proxy',
  key_invalid: 'proxy',
  key_expired: 'proxy',
  key_revoked: 'proxy',
  ambiguous_grant: 'proxy',
  body_too_large_to_sign: 'proxy',
  headers_too_large: 'both',
  rate_limited: 'both',
  upstream_dns: 'proxy',
  upstream_refused: 'proxy',
  upstream_tls: 'proxy',
  upstream_protocol: 'proxy',
  upstream_incomplete: 'proxy',
  upstream_timeout: 'proxy',
  state_unavailable: 'both',
  not_durable: 'admin',
  state_invalid: 'both',
  state_rollback: 'both',
  backup_invalid: 'admin',
  kms_unavailable: 'both',
  audit_unavailable: 'both',
  overloaded: 'both',
  draining: 'both',
  internal_error: 'both',
  config_invalid: 'start',
  unauthenticated: 'admin',
  not_found: 'admin',
  conflict: 'admin',
  idempotency_pending: 'admin',
  idempotency_mismatch: 'admin',
  revision_conflict: 'admin',
  validation_failed: 'admin',
  unsupported_media_type: 'admin',
  payload_too_large: 'admin',
  method_not_allowed: 'admin',
  host_unknown: 'admin',
  origin_forbidden: 'admin',
};

const policyMeanings: Readonly<Record<PolicyError, string>> = {
  time_outside_window: 'The time of day is outside the window of a policy.',
  time_wrong_weekday: 'The day of the week is none that a policy allows.',
  ip_not_allowed: "The client's address is in no range that the key or a policy allows.",
  method_not_allowed: 'A policy does not allow this method.',
  path_not_allowed: 'A policy does not allow this path, or the path is written in a way that servers read differently.',
  reason_required: 'A policy wants a reason in `X-Alter-Reason`.',
  rate_limited: 'A rate of the key or of a policy is used up.',
  policy_unreadable: 'A stored policy cannot be read, so that nothing is allowed.',
};

export function renderErrors(): string {
  const rows = (wanted: readonly string[]): string =>
    table(
      ['code', 'status', 'what it means', 'what to do', 'exit code'],
      (Object.keys(errorTable) as ErrorCode[])
        .filter((code) => wanted.includes(places[code]))
        .map((code) => {
          const { status, detail, hint, exit } = errorTable[code];
          return [`\`${code}\``, String(status), detail, hint, String(exit)];
        }),
    );
  return `# Errors

Every refusal and every failure has a code that does not change between releases. The text beside it may.

An answer of the proxy or of the admin API carries the code as \`code\` in a body of type \`application/problem+json\`
(RFC 9457), with \`detail\`, \`hint\` and the \`request_id\` under which the audit and the log know it. At the proxy it also
stands in the header \`X-Alter-Error\`, with an error type of RFC 9209 in \`Proxy-Status\`, so that a client which
discards bodies of failed requests can show it. The \`detail\` of an answer may be more precise than the one below. An answer
without \`X-Alter-Error\` is the upstream's own.

The last column is the exit code of \`alter\` when a command ends with this error.

## At the proxy

${rows(['proxy', 'both'])}

### Policy errors

Where a rule of a policy, or of a key, refused, \`policy_error\` in the body says which kind of rule:

${table(
  ['policy_error', 'what it means'],
  policyErrors.map((name) => [`\`${name}\``, policyMeanings[name]]),
)}

## At the admin API

${rows(['admin', 'both'])}

\`validation_failed\` carries a list \`problems\`, each with the \`field\` and a \`message\`. It never quotes a credential.

## At the start

${rows(['start'])}

Each setting that is wrong is named, all at once; see [config.md](config.md).

${footer('core/errors.ts')}`;
}

export function renderConfig(): string {
  const sections = settingSections.map(({ title, settings }) => {
    const rows = settings.map((one) => [
      `\`${one.name}\``,
      one.default === null || one.default === '' ? '–' : `\`${one.default}\``,
      one.doc,
    ]);
    return `## ${title}\n\n${table(['variable', 'default', 'meaning'], rows)}`;
  });
  const notFromFile = settingSections
    .flatMap((section) => section.settings.map((one) => one.name as string))
    .filter((name) => !fileSettingNames.includes(name));
  const secret = settingSections.flatMap((section) => section.settings).filter((one) => one.secret);
  return `# Configuration

A setting is an environment variable, or a key of the same name in one YAML file (\`alter serve --config FILE\`), where a
list may be written as one; the environment goes before the file. \`NAME_FILE\` names a file that holds the value of
\`NAME\`, which is how a mounted Kubernetes or Docker secret gets in; giving both is an error. Only
${notFromFile.map((name) => `\`${name}\``).join(' and ')} have no such twin.

White space around a value does not count. A value that is wrong, an unknown name that starts with \`ALTER_\`, or a
combination that makes no sense stops the start with exit code 2 and a list of every problem, by name. An empty value
is a mistake too, except where the setting is a list. Durations are written \`250ms\`, \`5s\`, \`10m\` or \`1h\`.

Secret, and shown nowhere: ${secret.map((one) => `\`${one.name}\``).join(', ')}. Prefer \`…_FILE\` for these: the environment
of a process can be read by other processes of the same user.

${sections.join('\n\n')}

## Variables of the command

These are read by \`alter\` only; the service passes them over: ${commandVariables.map((name) => `\`${name}\``).join(', ')}.

${footer('core/setting-tables.ts')}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function footer(source: string): string {
  return `---\n\nMade from \`${source}\` by \`npm run docs\`; change it there.\n`;
}

if (import.meta.main) {
  for (const [name, text] of [
    ['errors.md', renderErrors()],
    ['config.md', renderConfig()],
  ] as const)
    writeFileSync(new URL(`../docs/${name}`, import.meta.url), text);
}
