import { readFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { AlterError } from '../core/errors.ts';
import { isObject } from './pod.ts';

const timeoutMs = 10_000;
const maxAnswerBytes = 4 * 1024 * 1024;

export interface KubernetesAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface KubernetesApi {
  /** Throws `state_unavailable` where there is no answer, or one that is not JSON. */
  request(
    method: 'GET' | 'PUT' | 'PATCH',
    path: string,
    body?: { readonly type: string; readonly value: unknown },
  ): Promise<KubernetesAnswer>;
}

/**
 * The API server as a pod knows it. `directory` holds `ca.crt` and `token`; both are read for each request, because
 * Kubernetes replaces them while the pod runs.
 */
export function openKubernetesApi({
  host,
  port,
  directory,
}: {
  readonly host: string;
  readonly port: number;
  readonly directory: string;
}): KubernetesApi {
  return {
    request: (method, path, body) =>
      new Promise((resolve, reject) => {
        const fail = (cause: unknown): void =>
          reject(
            new AlterError('state_unavailable', {
              detail: `The Kubernetes API gave no answer to ${method} ${path}: ${(cause as Error).message}.`,
              hint: 'Check the token of the pod, its network policy and its role.',
              cause,
            }),
          );
        try {
          const text = body === undefined ? undefined : JSON.stringify(body.value);
          const request = https.request(
            {
              host,
              port,
              path,
              method,
              ca: readFileSync(join(directory, 'ca.crt')),
              agent: false,
              timeout: timeoutMs,
              headers: {
                accept: 'application/json',
                authorization: `Bearer ${readFileSync(join(directory, 'token'), 'utf8').trim()}`,
                ...(body === undefined || text === undefined
                  ? {}
                  : { 'content-type': body.type, 'content-length': Buffer.byteLength(text) }),
              },
            },
            (response) => {
              const chunks: Buffer[] = [];
              let size = 0;
              response.on('data', (chunk: Buffer) => {
                size += chunk.length;
                if (size > maxAnswerBytes) response.destroy(new Error('the answer is too long'));
                else chunks.push(chunk);
              });
              response.on('error', fail);
              response.on('end', () => {
                try {
                  const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
                  if (!isObject(value)) throw new Error('the answer is no JSON object');
                  resolve({ status: response.statusCode ?? 0, body: value });
                } catch (error) {
                  fail(error);
                }
              });
            },
          );
          request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
          request.on('error', fail);
          request.end(text);
        } catch (error) {
          fail(error);
        }
      }),
  };
}
