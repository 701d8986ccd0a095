import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { Route } from '../../admin/http/route.ts';
import { startAdmin } from '../../admin/main.ts';
import { routes } from '../../admin/routes.ts';
import { responses } from '../../admin/schemas/schemas.ts';
import { createAuthority } from '../../certs/authority.ts';
import { type DashboardScope, dashboardScopes } from '../../core/access-token.ts';
import { AddressSet, findAddressRange } from '../../core/address.ts';
import { AlterError } from '../../core/errors.ts';
import { issueToken } from '../../core/token.ts';
import { createLog } from '../../telemetry/log.ts';
import { AuditLog } from '../../vault/audit/audit-log.ts';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { ReadModel } from '../../vault/read-model.ts';
import { openSidecarStore } from '../../vault/sidecar-store.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';
import { openVault } from '../../vault/vault.ts';

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** Loosely typed on purpose: tests read into answers of every shape, and each is held to the schema of its route. */
  readonly json: ReturnType<typeof JSON.parse>;
}

export interface Ask {
  readonly token?: string | null;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string | Buffer;
  readonly headers?: http.OutgoingHttpHeaders;
}

/** Tokens of users are for the tests that run the whole service, with an identity provider. */
async function refuse(): Promise<never> {
  throw new AlterError('user_token_invalid');
}

export type AdminRig = Awaited<ReturnType<typeof startAdminRig>>;

/** A real admin API on a free port of loopback, over a real SQLite store. Every answer is held to the schema of its route. */
export async function startAdminRig(of: { allowAddresses?: string[]; hosts?: string[] } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'alter-admin-'));
  const time = { offsetMs: 0 };
  const clock = () => Date.now() + time.offsetMs;
  const store = await openSqliteStore({ path: join(directory, 'alter.db') });
  const vault = await openVault({ store, kms: openLocalKms({ rootKey: randomBytes(32) }), clock });
  const audit = new AuditLog({ vault, writer: 'test', mode: 'strict' });
  const model = new ReadModel({ vault, maxStalenessMs: 5_000 });
  const logged: string[] = [];
  const stream = { write: (line: string) => void logged.push(line) };
  const authority = await createAuthority({ now: clock() });
  const options = {
    vault,
    audit,
    authority,
    clock,
    log: createLog({ level: 'debug', stream }),
    hosts: of.hosts ?? [],
    sidecarStore: openSidecarStore('sqlite:'),
    runtime: { findCaller: async (keyId: string) => model.findKey(keyId), verifyUser: refuse },
    allowAddresses: new AddressSet((of.allowAddresses ?? []).map((text) => findAddressRange(text)!)),
  };
  const admin = await startAdmin({ ...options, listen: { host: '127.0.0.1', port: 0 } });

  const issuePat = async (scopes: readonly DashboardScope[], more: { appId?: string; expiresAt?: number } = {}) => {
    const token = issueToken('pat', Date.now());
    await vault.accessTokens.create({
      id: token.id,
      name: 'test',
      scopes,
      appId: more.appId ?? null,
      expiresAt: more.expiresAt ?? null,
      digest: token.digest.toString('hex'),
      createdAt: clock(),
      revokedAt: null,
    });
    return token;
  };
  const operator = await issuePat(dashboardScopes);
  const app = (await vault.apps.create({ name: 'shop' })).value;
  const otherApp = (await vault.apps.create({ name: 'neighbour' })).value;

  const send = (method: string, path: string, ask: Ask = {}): Promise<Reply> => {
    const { token = operator.plaintext } = ask;
    const payload = ask.raw ?? (ask.body === undefined ? undefined : JSON.stringify(ask.body));
    const headers: http.OutgoingHttpHeaders = {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(payload === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      ...ask.headers,
    };
    return new Promise((resolve, reject) => {
      const request = http.request(`${admin.url}${path}`, { method, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const reply = {
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: /json/.test(response.headers['content-type'] ?? '') ? JSON.parse(text) : null,
          };
          try {
            requireSchema(method, path, reply);
            resolve(reply);
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      request.on('error', reject);
      request.end(payload);
    });
  };

  /** What the app's audit holds, oldest first. */
  const events = async (appId = app.id) =>
    (await (await vault.app(appId)).audit.list({ order: 'ascending', limit: 1000 })).events;

  return {
    url: admin.url,
    options,
    vault,
    app,
    otherApp,
    operator,
    issuePat,
    send,
    events,
    logged,
    audit,
    time,
    clock,
    async close() {
      await admin.close();
      model.close();
      await audit.close();
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

function requireSchema(method: string, path: string, reply: Reply): void {
  if (reply.status >= 400) {
    if (method !== 'HEAD') responses.problem.parse(reply.json);
    return;
  }
  const route = findRoute(method, path.split('?')[0]!);
  const schema: z.ZodType | null = route.response;
  if (schema !== null) schema.parse(reply.json);
  else if (reply.text !== '') throw new Error(`${method} ${route.path} answered with a body`);
}

function findRoute(method: string, path: string): Route {
  const parts = path.split('/');
  const found = routes.find(
    (route) =>
      route.method === method &&
      route.path.split('/').length === parts.length &&
      route.path.split('/').every((part, i) => part.startsWith('{') || part === parts[i]),
  );
  if (found === undefined) throw new Error(`no route for ${method} ${path}`);
  return found;
}
