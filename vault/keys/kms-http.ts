import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { AlterError } from '../../core/errors.ts';

export interface KmsAnswer {
  readonly status: number;
  readonly text: string;
  /** The text as a JSON object; empty where it is none. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** Made anew for each attempt: signatures carry the time. */
export type MakeRequest = () => { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer };

const attempts = 3;
const answerWithinMs = 3_000;
const firstPauseMs = 100;
const maxAnswerBytes = 65_536;
const maxConnections = 16;

/** Calls to a service that keeps keys: TLS that proves the name, short, no redirects, and a few attempts. */
export class KmsHttp {
  readonly #agent: Agent;
  readonly #answerWithinMs: number;

  /** `ca`: PEM of the authorities to trust instead of the system's. */
  constructor(of: { readonly ca: string | null; readonly answerWithinMs?: number }) {
    this.#answerWithinMs = of.answerWithinMs ?? answerWithinMs;
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: maxConnections,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(of.ca === null ? {} : { ca: of.ca }),
    });
  }

  /**
   * Tries again where the service can't be reached, is slow, overloaded or broken, or `isTemporary` says so. Rejects with
   * `kms_unavailable` once it has tried often enough; any other answer is the caller's to read.
   */
  async post(
    url: string,
    make: MakeRequest,
    isTemporary: (answer: KmsAnswer) => boolean = () => false,
  ): Promise<KmsAnswer> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#once(url, make()).catch((error: Error) => error);
      const failure = explain(outcome, isTemporary);
      if (failure === null) return outcome as KmsAnswer;
      if (attempt === attempts)
        throw kmsUnavailable(`${new URL(url).host}: ${failure}`, 'status' in outcome ? undefined : outcome);
      await sleep(firstPauseMs * 3 ** (attempt - 1) * (0.5 + Math.random() / 2));
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #once(url: string, { headers, body }: ReturnType<MakeRequest>): Promise<KmsAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method: 'POST',
        agent: this.#agent,
        headers: { ...headers, 'content-length': body.length, accept: 'application/json' },
        signal: AbortSignal.timeout(this.#answerWithinMs),
      });
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on('error', reject);
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) incoming.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: incoming.statusCode ?? 0, text, json: readObject(text) });
        });
      });
      outgoing.end(body);
    });
  }
}

/** `detail` says what is wrong without anything that was sent. */
export function kmsUnavailable(detail: string, cause?: unknown): AlterError {
  return new AlterError('kms_unavailable', {
    detail: `The service that wraps the keys of the apps could not be used: ${detail}.`,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What is to be tried again; null for an answer. */
function explain(outcome: KmsAnswer | Error, isTemporary: (answer: KmsAnswer) => boolean): string | null {
  if (!('status' in outcome)) {
    if (outcome.name === 'TimeoutError' || outcome.name === 'AbortError') return 'it did not answer in time';
    return (outcome as NodeJS.ErrnoException).code ?? outcome.message;
  }
  const { status } = outcome;
  return status === 429 || status >= 500 || isTemporary(outcome) ? `it answered ${status}` : null;
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Bytes in base64 of a field of an answer; null where it holds none. */
export function findBytes(json: unknown, field: string): Buffer | null {
  const value = typeof json === 'object' && json !== null ? (json as Readonly<Record<string, unknown>>)[field] : null;
  return typeof value === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(value) ? Buffer.from(value, 'base64') : null;
}
