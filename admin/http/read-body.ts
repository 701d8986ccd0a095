import type { IncomingMessage } from 'node:http';
import { AlterError } from '../../core/errors.ts';
import { hasUniqueMembers } from '../../core/unique-members.ts';
import { restoresPath } from '../backups.ts';
import type { AdminContext, AdminMiddleware } from '../state.ts';
import { findOnlyHeader } from './guard-request.ts';

const maxBodyBytes = 256 * 1024;
/** A line of a backup can't be cut: it holds a whole record. */
const maxLineBytes = 2 * 1024 * 1024;
const maxDepth = 20;
const maxKeys = 1000;
const jsonType = /^application\/json[\t ]*(?:;[\t ]*charset[\t ]*=[\t ]*"?utf-8"?[\t ]*)?$/i;

/**
 * Reads a JSON body into `ctx.state.body`. Compressed bodies are refused instead of inflated, so that nothing small
 * becomes large; depth and keys are bounded before anybody walks the value.
 *
 * Throws `unsupported_media_type`, `payload_too_large`, `request_malformed`.
 */
export function readBody(): AdminMiddleware {
  return async (ctx, next) => {
    ctx.state.body = await readJson(ctx);
    await next();
  };
}

async function readJson(ctx: AdminContext): Promise<unknown> {
  const length = ctx.req.headers['content-length'];
  const isChunked = ctx.req.headers['transfer-encoding'] !== undefined;
  if (!isChunked && (length === undefined || length === '0')) return undefined;
  const encoding = findOnlyHeader(ctx, 'content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    throw new AlterError('unsupported_media_type', {
      detail: 'Compressed bodies are not read.',
      hint: 'Send the body without Content-Encoding.',
    });
  if (!jsonType.test(findOnlyHeader(ctx, 'content-type') ?? '')) throw new AlterError('unsupported_media_type');
  const limit = ctx.path.startsWith(`${restoresPath}/`) ? maxLineBytes : maxBodyBytes;
  if (length !== undefined && Number(length) > limit) throw tooLarge(limit);
  return parseJson(await collect(ctx.req, limit));
}

/** Not `for await`: leaving that loop early destroys the socket, and the client would never see why. Node discards the rest. */
function collect(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) {
        chunks.push(chunk);
        return;
      }
      request.off('data', onData);
      request.resume();
      reject(tooLarge(limit));
    };
    request.on('data', onData);
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', () => reject(malformed('The body ended early.')));
    request.once('close', () => reject(malformed('The body ended early.')));
  });
}

/** The errors of `JSON.parse` quote their input, which may be a credential: they are neither shown nor kept as a cause. */
function parseJson(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    requireShallow(text);
    value = JSON.parse(text);
    if (!hasUniqueMembers(text, maxDepth)) throw malformed('The body names a member twice.');
  } catch (error) {
    throw error instanceof AlterError ? error : malformed('The body is not JSON in UTF-8.');
  }
  requireHarmless(value, { keys: 0 });
  return value;
}

/** Counts brackets outside strings, so that a deep value is refused before it is built. */
function requireShallow(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i]!;
    if (inString) {
      if (char === '\\') i += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '[' || char === '{') {
      depth += 1;
      if (depth > maxDepth) throw malformed(`The body is nested deeper than ${maxDepth} levels.`);
    } else if (char === ']' || char === '}') depth -= 1;
  }
}

/** `__proto__` as an own key survives `JSON.parse` and pollutes the first object that it is assigned to. */
function requireHarmless(value: unknown, count: { keys: number }): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    count.keys += 1;
    if (count.keys > maxKeys) throw malformed(`The body has more than ${maxKeys} members.`);
    if (key === '__proto__') throw malformed('The body has a member named __proto__.');
    requireHarmless(part, count);
  }
}

function tooLarge(limit: number): AlterError {
  return new AlterError('payload_too_large', { detail: `The body is larger than ${limit / 1024} KiB.` });
}

function malformed(detail: string): AlterError {
  return new AlterError('request_malformed', { detail, hint: 'Send one JSON object as the body.' });
}
