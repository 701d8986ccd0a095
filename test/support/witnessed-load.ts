import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { insist } from './in-parallel.ts';
import type { Rig, StoredSecret } from './rig.ts';
import { AnswerReader, basic, connectTo } from './tunnel-client.ts';

interface Kept extends StoredSecret {
  /** Asked for, whatever became of it. */
  revokeAsked: boolean;
  /** When the change was acknowledged, of `performance.now()`; null as long as it was not. */
  revokedAt: number | null;
}

interface AuditPage {
  readonly items: readonly { readonly grant_id: string }[];
  readonly next: string | null;
}

/**
 * Requests through some proxies, while secrets are stored and grants revoked. Nothing is judged while it runs: at the end
 * the upstream's log, the answers that were acknowledged and the store itself have to fit together.
 */
export class WitnessedLoad {
  readonly arrivals: { readonly canary: string; readonly at: number }[] = [];
  readonly statuses = new Map<string, number>();
  readonly #rig: Rig;
  readonly #secrets: Kept[] = [];
  readonly #lanes: Promise<void>[] = [];
  #isOver = false;

  private constructor(rig: Rig) {
    this.#rig = rig;
  }

  /** One lane of requests for each port. */
  static async open(rig: Rig, ports: readonly number[]): Promise<WitnessedLoad> {
    const load = new WitnessedLoad(rig);
    rig.sink().answer = (request, response) => {
      const canary = /canary-[0-9a-f]{36}/.exec(JSON.stringify(request.headers))?.[0];
      if (canary !== undefined) load.arrivals.push({ canary, at: performance.now() });
      response.end('ok');
    };
    const { key } = await insist(() => rig.mintKey());
    for (let index = 0; index < 4; index++) await insist(() => load.store());
    load.#lanes.push(...ports.map((port) => load.#request(port, key)), load.#change());
    return load;
  }

  /** One more secret, which is used from then on. */
  async store(): Promise<void> {
    const secret = await this.#rig.storeSecret({ hosts: [this.#rig.authorityOf()] });
    this.#secrets.push({ ...secret, revokedAt: null, revokeAsked: false });
  }

  get acknowledgedRevocations(): number {
    return this.#secrets.filter(({ revokedAt }) => revokedAt !== null).length;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }

  /** After it was stopped. `boundMs`: how long something may be used after its revocation was acknowledged. */
  async judge(boundMs: number): Promise<void> {
    const rig = this.#rig;
    // Nothing was used later than the bound after its revocation was acknowledged.
    const late = this.#secrets.flatMap(({ canary, revokedAt }) =>
      this.arrivals.filter((use) => use.canary === canary && revokedAt !== null && use.at > revokedAt + boundMs),
    );
    expect(late).toEqual([]);

    // What was acknowledged is there. The store may still be about to come back.
    for (const { id, grantId, revokedAt } of this.#secrets) {
      await insist(() => rig.admin('GET', `/managed-secrets/${id}`));
      const grant = await insist(() =>
        rig.admin<{ status?: string; revoked_at?: string | null }>('GET', `/grants/${grantId}`),
      );
      if (revokedAt !== null) expect(JSON.stringify(grant)).toMatch(/"revoked/);
    }

    // Every use has a decision of its own on record, and the record is whole.
    const decided = new Map<string, number>();
    let after: string | null = null;
    do {
      const query: string = `event=request.decided&decision=allow&order=asc&limit=200${after === null ? '' : `&after=${after}`}`;
      const page: AuditPage = await insist(() => rig.admin<AuditPage>('GET', `/audit?${query}`));
      for (const { grant_id: id } of page.items) decided.set(id, (decided.get(id) ?? 0) + 1);
      after = page.next;
    } while (after !== null);
    for (const { grantId, canary } of this.#secrets) {
      const uses = this.arrivals.filter((use) => use.canary === canary).length;
      expect(uses).toBeLessThanOrEqual(decided.get(grantId) ?? 0);
    }
    expect(await rig.admin('POST', '/audit/verify', {})).toMatchObject({ intact: true });
    expect(this.arrivals.length).toBeGreaterThan(20);
    for (const status of this.statuses.keys())
      expect(status).toMatch(/^(200|503 (state|audit)_unavailable|403 grant_revoked)$/);
  }

  async #request(port: number, key: string): Promise<void> {
    const target = this.#rig.authorityOf();
    while (!this.#isOver) {
      const { grantId } = this.#secrets[Math.floor(Math.random() * this.#secrets.length)]!;
      const socket = await connectTo(port);
      const reader = new AnswerReader(socket);
      const head = [`GET https://${target}/ HTTP/1.1`, `Host: ${target}`, `Proxy-Authorization: ${basic('x', key)}`];
      socket.write(`${[...head, `X-Alter-Grant: ${grantId}`].join('\r\n')}\r\n\r\n`);
      const { status, headers } = await reader.next();
      socket.destroy();
      const outcome = `${status} ${headers['x-alter-error'] ?? ''}`.trim();
      this.statuses.set(outcome, (this.statuses.get(outcome) ?? 0) + 1);
      await sleep(10);
    }
  }

  /** Four live secrets, about, one of which is revoked after the other. */
  async #change(): Promise<void> {
    while (!this.#isOver) {
      await sleep(60);
      const live = this.#secrets.filter(({ revokeAsked }) => !revokeAsked);
      try {
        if (live.length < 4) await this.store();
        else {
          const secret = live[Math.floor(Math.random() * live.length)]!;
          secret.revokeAsked = true;
          await this.#rig.admin('POST', `/grants/${secret.grantId}/revoke`);
          secret.revokedAt = performance.now();
        }
      } catch {
        // Not acknowledged: it may have happened or not.
      }
    }
  }
}
