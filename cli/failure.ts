import { AlterError, errorTable, type Problem } from '../core/errors.ts';
import { printable } from './printable.ts';

/** What the exit codes of `alter` mean; scripts depend on them. */
export const exitCodes = {
  error: 1,
  usage: 2,
  notSignedIn: 3,
  notFound: 4,
  conflict: 5,
  rateLimited: 6,
  forbidden: 7,
  unreachable: 8,
} as const;

/** Ends a command with one line of explanation and an exit code. Never put a credential, a key or a token in it. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exit: number;
  readonly detail: string;
  readonly hint: string | null;
  /** From core's error table, or one of the keys above where the CLI itself refuses. */
  readonly code: string;
  readonly problems: readonly Problem[];
  readonly requestId: string | null;

  constructor(of: {
    readonly exit: number;
    readonly code: string;
    readonly detail: string;
    readonly hint?: string | null;
    readonly problems?: readonly Problem[];
    readonly requestId?: string | null;
  }) {
    super(of.detail);
    this.exit = of.exit;
    this.code = of.code;
    this.detail = of.detail;
    this.hint = of.hint ?? null;
    this.problems = of.problems ?? [];
    this.requestId = of.requestId ?? null;
  }
}

export function usageFailure(detail: string, hint: string | null = null): Failure {
  return new Failure({ exit: exitCodes.usage, code: 'usage', detail, hint });
}

/** What an error means to the person at the terminal, or null where there is nothing to say (`--help` ends this way). */
export function describeFailure(error: unknown): Failure | null {
  if (error instanceof Failure) return error;
  if (error instanceof AlterError)
    return new Failure({
      exit: errorTable[error.code].exit,
      code: error.code,
      detail: error.detail,
      hint: error.hint,
      ...(error.problems === undefined ? {} : { problems: error.problems }),
    });
  if (!(error instanceof Error))
    return new Failure({ exit: exitCodes.error, code: 'internal_error', detail: String(error) });
  const oclif = 'oclif' in error ? (error.oclif as { readonly exit?: number | false } | undefined) : undefined;
  if (systemCodeOf(error) === 'EEXIT') return null;
  return new Failure({
    exit: oclif === undefined ? exitCodes.error : exitCodes.usage,
    code: oclif === undefined ? 'internal_error' : 'usage',
    detail: error.message,
  });
}

/** `ENOENT` and the like, of an error of Node's; null where it has none. */
export function systemCodeOf(error: unknown): string | null {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : null;
}

/** The two lines that go to stderr: `Error: …` and, where there is one, `Hint: …`. */
export function formatFailure(failure: Failure): string {
  const lines = [`Error: ${oneLine(failure.detail)}`];
  // A configuration has many settings, and each that is wrong gets its own line; elsewhere the detail names the input.
  if (failure.code === 'config_invalid')
    lines.push(...failure.problems.map(({ field, message }) => `  ${oneLine(field)}: ${oneLine(message)}`));
  if (failure.hint !== null) lines.push(`Hint: ${oneLine(failure.hint)}`);
  if (failure.requestId !== null && failure.exit === exitCodes.error)
    lines.push(`Request: ${oneLine(failure.requestId)}`);
  return `${lines.join('\n')}\n`;
}

/** The same as one line of JSON, for `--output json` and `jsonl`; it goes to stderr too, so that stdout holds results only. */
export function formatFailureJson(failure: Failure): string {
  const { code, detail, hint, exit, problems, requestId } = failure;
  return `${JSON.stringify({
    error: { code, detail, hint, exit, ...(problems.length === 0 ? {} : { problems }), request_id: requestId },
  })}\n`;
}

function oneLine(text: string): string {
  return printable(text.replace(/\s*[\r\n]\s*/g, ' ').trim());
}
