import type { IncomingMessage } from 'node:http';
import Koa from 'koa';
import type { InjectorSettings } from '../core/config.ts';
import { AlterError, problemDocument, toAlterError } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import type { Log } from '../telemetry/log.ts';
import { review } from './admission.ts';

/** The object and, on an update, the one before: etcd holds none above 1.5 MiB. */
const maxBodyBytes = 4 * 1024 * 1024;
/** Deeper than any pod, and shallow enough to be walked. */
const maxDepth = 64;

export interface InjectorOptions {
  readonly settings: InjectorSettings;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly log: Log;
}

/** `POST /inject`, and nothing else. It holds no secret and keeps no state, so it asks nobody who is calling. */
export function createInjectorApp({ settings, clock, log }: InjectorOptions): Koa {
  const app = new Koa();
  app.use(async (ctx) => {
    const requestId = issueId(clock());
    try {
      if (ctx.path !== '/inject') throw new AlterError('not_found', { detail: 'There is POST /inject.' });
      if (ctx.method !== 'POST') throw new AlterError('method_not_allowed', { detail: 'There is POST /inject.' });
      if (!/^application\/json *(?:;|$)/i.test(ctx.get('content-type'))) throw new AlterError('unsupported_media_type');
      if (Number(ctx.get('content-length')) > maxBodyBytes) throw tooLarge();
      const answer = review(parseJson(await collect(ctx.req)), settings);
      const { allowed, patch, status } = answer.response;
      if (patch !== undefined) log.info('A pod was equipped.', { request_id: requestId });
      if (!allowed) log.warn(`A pod was refused. ${status?.message ?? ''}`, { request_id: requestId });
      ctx.body = answer;
    } catch (error) {
      const known = toAlterError(error);
      log.warn('A review could not be answered.', { request_id: requestId, error: known });
      ctx.status = known.status;
      ctx.set('connection', 'close'); // what was not read of the body is not read any more
      ctx.type = 'application/problem+json';
      ctx.body = JSON.stringify(problemDocument(known, requestId));
    }
  });
  app.on('error', (error: unknown) => log.warn('An answer of the injector could not be sent.', { error }));
  return app;
}

/** Not `for await`: leaving that loop early destroys the socket before the answer is out. */
function collect(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= maxBodyBytes) {
        chunks.push(chunk);
        return;
      }
      request.off('data', onData).resume();
      reject(tooLarge());
    };
    request.on('data', onData);
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => reject(new AlterError('request_malformed', { detail: 'The body ended early.' })));
  });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    if (isShallow(value, maxDepth)) return value;
  } catch {
    // As for what is too deep: what the body holds is not quoted.
  }
  throw new AlterError('request_malformed', { detail: `The body is not JSON of at most ${maxDepth} levels.` });
}

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1));
}

function tooLarge(): AlterError {
  return new AlterError('payload_too_large', { detail: `The body has more than ${maxBodyBytes} bytes.` });
}
