import { isNativeError } from 'node:util/types';
import pino, { type DestinationStream } from 'pino';
import { AlterError } from '../core/errors.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * All that a log line may hold beside its level, time, process id and message. Whatever is not named here is left out at
 * run time as well, so that a request, a header or a record that is passed by mistake never reaches the log.
 */
const fieldNames = [
  'request_id',
  'app_id',
  'key_id',
  'principal_type',
  'principal_id',
  'agent_id',
  'user_id',
  'grant_id',
  'managed_secret_id',
  'managed_secret_slug',
  'secret_version',
  'record_type',
  'record_id',
  'event',
  'decision',
  'code',
  'policy_error',
  'method',
  'host',
  'status',
  'latency_ms',
  'client_ip',
  'role',
  'listen',
  'route',
  'token_id',
  'signal',
  'count',
  'setting',
  'security_event',
] as const;

export type LogFields = {
  readonly [name in (typeof fieldNames)[number]]?: string | number | boolean | null | undefined;
} & {
  /** Reduced to names, codes and places; the message only if it is an AlterError, whose messages are made to be shown. */
  readonly error?: unknown;
};

/** Messages are fixed sentences; what varies goes into the fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What a log keeps of an error. */
export interface ErrorSummary {
  readonly name: string;
  readonly code?: string;
  readonly message?: string;
  /** Where it was raised: `file:line:column`, innermost first. Left out of an AlterError, whose code says enough. */
  readonly at?: readonly string[];
  /** The names of its causes, outermost first. */
  readonly causes?: readonly string[];
}

const longestValue = 512;
const longestCauseChain = 8;
const mostPlaces = 6;
/** A collector that has stopped reading must not stop the proxy, nor fill its memory: beyond this, lines are dropped. */
const mostBufferedBytes = 4 * 1024 * 1024;

/** Writes JSON lines to standard error, or to `stream`. Lines of before an exit are flushed. */
export function createLog(options: { readonly level: LogLevel; readonly stream?: DestinationStream }): Log {
  const stream = options.stream ?? pino.destination({ dest: 2, sync: false, maxLength: mostBufferedBytes });
  const lines = pino(
    {
      level: options.level,
      base: { pid: process.pid },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  const at =
    (level: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields?: LogFields): void => {
      if (lines.isLevelEnabled(level)) lines[level](permitted(fields), cut(message));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function permitted(fields: LogFields | undefined): Record<string, unknown> {
  const line: Record<string, unknown> = {};
  if (fields === undefined) return line;
  for (const name of fieldNames) {
    const value = fields[name];
    if (typeof value === 'string') line[name] = cut(value);
    else if (typeof value === 'number' || typeof value === 'boolean') line[name] = value;
  }
  if (fields.error !== undefined) line.error = summarizeError(fields.error);
  return line;
}

/** Never the message of a foreign error: those of parsers and clients quote what they were given. */
export function summarizeError(error: unknown): ErrorSummary {
  const causes = causesOf(error);
  const code = codeOf(error);
  const at = placesOf(error);
  return {
    name: nameOf(error),
    ...(code === null ? {} : { code }),
    ...(error instanceof AlterError ? { message: cut(error.detail) } : {}),
    ...(at.length === 0 ? {} : { at }),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

function causesOf(error: unknown): string[] {
  const names: string[] = [];
  for (let cause = causeOf(error); cause !== undefined && names.length < longestCauseChain; cause = causeOf(cause)) {
    const code = codeOf(cause);
    names.push(code === null ? nameOf(cause) : `${nameOf(cause)} ${code}`);
  }
  return names;
}

function causeOf(error: unknown): unknown {
  return isNativeError(error) ? error.cause : undefined;
}

/** The name of the class, not `error.name`: that is a field that anything can be written to. */
function nameOf(error: unknown): string {
  if (!isNativeError(error)) return typeof error;
  const name: unknown = error.constructor.name;
  return typeof name === 'string' && /^\w{1,64}$/.test(name) ? name : 'Error';
}

/** Only what looks like a code, as in ECONNREFUSED, ERR_TLS_CERT_ALTNAME_INVALID or state_invalid. */
function codeOf(error: unknown): string | null {
  if (!isNativeError(error) || !('code' in error)) return null;
  return typeof error.code === 'string' && /^\w{1,64}$/.test(error.code) ? error.code : null;
}

/** The stack begins with the message, which may hold anything, lines that look like frames included: it is cut off first. */
function placesOf(error: unknown): string[] {
  if (!isNativeError(error) || error instanceof AlterError || typeof error.stack !== 'string') return [];
  const end = error.stack.indexOf(error.message);
  if (end === -1) return [];
  const frames = error.stack.slice(end + error.message.length).split('\n');
  return frames
    .flatMap((frame) => /^\s+at .*?\(?((?:file:\/\/|node:|\/)[^\s()]+:\d+:\d+)\)?$/.exec(frame)?.[1] ?? [])
    .slice(0, mostPlaces);
}

function cut(text: string): string {
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
}
