import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AlterError } from '../../core/errors.ts';
import { issueId } from '../../core/id.ts';
import { verifyChain } from '../../vault/audit/audit-chain.ts';
import { AuditLog, type AuditLogOptions, type RecordableEvent } from '../../vault/audit/audit-log.ts';
import type { AppVault } from '../../vault/vault.ts';
import { type FilledVault, fillVault, startOfTime } from '../support/filled-vault.ts';
import { eventually } from '../support/in-parallel.ts';

const unavailable = expect.objectContaining({ code: 'audit_unavailable' });
const rate = { bucket: 'key:k1', requests: 2, perSeconds: 60 };
const everyFieldNull = {
  ...{ request_id: null, key_id: null, principal_type: null, principal_id: null, agent_id: null, user_id: null },
  ...{ grant_id: null, managed_secret_id: null, managed_secret_slug: null, secret_version: null, method: null },
  ...{ host: null, path: null, status: null, latency_ms: null, decision: null, code: null, policy_error: null },
  ...{ reason: null, caller: null, context: null, client_ip: null },
};
const soon = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('the audit log', () => {
  let filled: FilledVault;
  let app: AppVault;
  let log: AuditLog;
  const errors: AlterError[] = [];

  const event = (over: Partial<RecordableEvent> = {}): RecordableEvent => ({
    id: issueId(startOfTime),
    time: new Date(startOfTime).toISOString(),
    event: 'request.decided',
    app_id: app.appId,
    host: 'api.stripe.com',
    ...over,
  });
  const openLog = (over: Partial<AuditLogOptions> = {}) => {
    log = new AuditLog({
      vault: filled.vault,
      writer: 'proxy-1',
      mode: 'strict',
      onError: (error) => errors.push(error),
      ...over,
    });
    return log;
  };
  const eventsOf = async (of: AppVault) => (await of.audit.list({ order: 'ascending', limit: 10_000 })).events;
  const entriesOf = (space: string) => filled.store.readAudit({ space, order: 'ascending', limit: 10_000 });

  beforeAll(async () => {
    filled = await fillVault();
  });
  afterAll(() => filled.close());
  beforeEach(async () => {
    app = await filled.vault.app((await filled.vault.apps.create({ name: issueId(startOfTime) })).value.id);
    filled.store.appended.length = 0;
    errors.length = 0;
  });
  afterEach(async () => {
    filled.store.down = false;
    filled.store.losesAnswers = false;
    filled.store.beforeAnswer = null;
    await log.close();
  });

  it('has the event durable and readable when it resolves', async () => {
    openLog();
    const recorded = event({ path: '/v1/charges', status: 200, reason: null });
    expect(await log.record(recorded)).toEqual([]);
    const { events, next } = await app.audit.list({ order: 'ascending', limit: 10 });
    expect(events).toEqual([{ ...everyFieldNull, ...recorded, cursor: expect.any(String) }]);
    expect(next).toBeNull();
  });

  it('writes what nobody waits for with what somebody waits for, in the order in which it was recorded', async () => {
    openLog();
    await log.record(event());
    log.note(event({ path: '/1' }));
    log.note(event({ path: '/2' }));
    await log.record(event({ path: '/3' }));
    log.note(event({ path: '/4' }));
    expect((await eventsOf(app)).slice(1).map(({ path }) => path)).toEqual(['/1', '/2', '/3']);
    expect(filled.store.appended).toHaveLength(2);
    await eventually(async () => (await eventsOf(app)).at(-1)?.path === '/4');
  });

  it('keeps what nobody waits for while the store is down, and gives it up only when it is closed', async () => {
    openLog();
    await log.record(event());
    filled.store.down = true;
    log.note(event({ path: '/1' }));
    await expect(log.record(event({ path: '/2' }))).rejects.toEqual(unavailable);
    log.note(event({ path: '/3' }));
    filled.store.down = false;
    await log.record(event({ path: '/4' }));
    expect((await eventsOf(app)).slice(1).map(({ path }) => path)).toEqual(['/1', '/3', '/4']);
  });

  it('uses no secret with a clock that is behind what was written before it was opened, and records all else', async () => {
    openLog();
    const at = (minutes: number, over: Partial<RecordableEvent> = {}) =>
      event({ time: new Date(startOfTime + minutes * 60_000).toISOString(), ...over });
    const use = { managed_secret_id: issueId(startOfTime) };
    for (let minute = 0; minute < 3; minute++) await log.record(at(minute));
    await log.close();
    openLog();
    const behind = expect.objectContaining({ code: 'state_unavailable' });
    await expect(log.decide(at(-4, use), [])).rejects.toEqual(behind);
    expect(() => log.decide(at(-4, use), [])).toThrow(behind);
    expect(log.isClockBehind(startOfTime - 4 * 60_000)).toBe(true);
    await log.decide(at(-4), []); // traffic without a credential
    await log.record(at(-4, use)); // a change by an operator
    await log.decide(at(-2, use), []);
    expect(log.isClockBehind(startOfTime)).toBe(false);
  });

  it('says once, until there is room again, that what nobody waits for is lost', async () => {
    openLog({ maxBacklog: 1 });
    const taken = log.record(event());
    for (let n = 0; n < 5; n++) log.note(event());
    expect(errors).toEqual([unavailable]);
    await taken;
    expect(await eventsOf(app)).toHaveLength(1);
  });

  it('has nothing to wait for in buffered mode, unless a rate is demanded', async () => {
    openLog({ mode: 'buffered' });
    await log.decide(event(), []); // looks how far the audit has come
    expect(log.decide(event(), [])).toBeNull();
    expect(await log.decide(event(), [rate])).toHaveLength(1);
  });

  it('pages with cursors in both directions', async () => {
    openLog();
    const ids = [];
    for (let n = 0; n < 7; n++) {
      const recorded = event();
      ids.push(recorded.id);
      await log.record(recorded);
    }
    for (const order of ['ascending', 'descending'] as const) {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await app.audit.list({ order, limit: 3, after });
        seen.push(...page.events.map(({ id }) => id));
        after = page.next ?? undefined;
      } while (after !== undefined);
      expect(seen).toEqual(order === 'ascending' ? ids : ids.toReversed());
    }
  });

  it('pages through events that share an entry, one at a time and in both directions', async () => {
    openLog();
    const recorded = Array.from({ length: 12 }, () => event());
    for (const group of [recorded.slice(0, 5), recorded.slice(5, 6), recorded.slice(6)])
      await Promise.all(group.map((each) => log.record(each)));
    expect((await entriesOf(app.appId)).length).toBeLessThan(12);
    for (const order of ['ascending', 'descending'] as const) {
      for (const limit of [1, 2, 4, 5, 11, 12, 13]) {
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const page = await app.audit.list({ order, limit, after });
          expect(page.events.length).toBeLessThanOrEqual(limit);
          seen.push(...page.events.map(({ id }) => id));
          after = page.next ?? undefined;
        } while (after !== undefined);
        const ids = recorded.map(({ id }) => id);
        expect(seen).toEqual(order === 'ascending' ? ids : ids.toReversed());
      }
    }
  });

  it.each(['', 'x', '1', '1.', '.1', '1.x', '1.1.1', ' 1.1', '1.1234567'])(
    'refuses a cursor that it never gave (%j)',
    async (after) => {
      openLog();
      await expect(app.audit.list({ order: 'ascending', limit: 1, after })).rejects.toMatchObject({
        code: 'validation_failed',
      });
    },
  );

  it('shares one append among everything that is recorded at once, and among all that arrives meanwhile', async () => {
    openLog();
    await log.record(event());
    filled.store.appended.length = 0;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    filled.store.beforeAnswer = () => held;
    await filled.vault.keyring.of(app.appId);
    const first = Array.from({ length: 50 }, () => log.record(event()));
    await eventually(() => filled.store.appended.length === 1);
    const second = Array.from({ length: 50 }, () => log.record(event()));
    await soon(30);
    expect(filled.store.appended).toHaveLength(1); // one append under way at a time
    filled.store.beforeAnswer = null;
    release();
    await Promise.all([...first, ...second]);
    // One sealed and chained entry for each group, however many share it.
    expect(filled.store.appended.map(({ entries }) => entries.length)).toEqual([1, 1]);
    expect(await eventsOf(app)).toHaveLength(101);
    expect(verifyChain(await entriesOf(app.appId), { space: app.appId }).kind).toBe('intact');
  });

  it('takes the rates of all in one step and gives each its own verdicts', async () => {
    openLog();
    const records = [log.record(event(), [rate]), log.record(event()), log.record(event(), [rate, rate])];
    const [a, none, b] = await Promise.all(records);
    expect(a!.map(({ allowed }) => allowed)).toEqual([true]);
    expect(none).toEqual([]);
    expect(b!.map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(b![1]!.retryAfterSeconds).toBeGreaterThan(0);
    expect(await eventsOf(app)).toHaveLength(3); // also what a rate refused is on record
  });

  it('keeps what belongs to no app, or to an unknown one, in the system space', async () => {
    openLog();
    const orphans = [event({ app_id: null }), event({ app_id: '019f0000-0000-7000-8000-000000000000' })];
    for (const orphan of orphans) await log.record(orphan);
    await log.record(event({ app_id: 'no uuid' }));
    const { events } = await filled.vault.audit.list({ order: 'ascending', limit: 10 });
    expect(events.map(({ app_id }) => app_id)).toEqual(['system', 'system', 'system']);
    expect(events.map(({ id }) => id)).toEqual(expect.arrayContaining(orphans.map(({ id }) => id)));
  });

  it('refuses with audit_unavailable when the store is down, and recovers by itself', async () => {
    openLog();
    await log.record(event());
    filled.store.down = true;
    await expect(Promise.all([log.record(event()), log.record(event(), [rate])])).rejects.toEqual(unavailable);
    expect(errors).toEqual([unavailable]);
    filled.store.down = false;
    await log.record(event());
    const entries = await entriesOf(app.appId);
    expect(entries).toHaveLength(2);
    expect(verifyChain(entries, { space: app.appId }).kind).toBe('intact');
  });

  it('never forks the chain when the answer to an append was lost', async () => {
    openLog();
    await log.record(event());
    for (let n = 0; n < 3; n++) {
      filled.store.losesAnswers = true;
      await expect(log.record(event())).rejects.toEqual(unavailable);
      filled.store.losesAnswers = false;
      await log.record(event());
    }
    const entries = await entriesOf(app.appId);
    expect(entries).toHaveLength(7); // what was refused stands there all the same: it was decided, not sent
    expect(verifyChain(entries, { space: app.appId }).kind).toBe('intact');
    expect(new Set(entries.map(({ writer, sequence }) => `${writer} ${sequence}`)).size).toBe(7);
  });

  it('refuses when the store hangs, and the chain holds when the answer comes late', async () => {
    openLog({ appendTimeoutMs: 50 });
    const recorded = () =>
      log.record(event()).then(
        () => true,
        () => false,
      );
    await eventually(recorded); // a busy machine may not manage one append in 50 ms
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    filled.store.beforeAnswer = () => held;
    await expect(log.record(event())).rejects.toEqual(unavailable);
    filled.store.beforeAnswer = null;
    await eventually(recorded);
    release();
    expect(verifyChain(await entriesOf(app.appId), { space: app.appId }).kind).toBe('intact');
  });

  it('starts a new chain after a restart', async () => {
    openLog();
    await log.record(event());
    await log.close();
    openLog();
    await log.record(event());
    const entries = await entriesOf(app.appId);
    expect(new Set(entries.map(({ writer }) => writer)).size).toBe(2);
    expect(entries.map(({ sequence }) => sequence)).toEqual([1, 1]);
    expect(verifyChain(entries, { space: app.appId }).kind).toBe('intact');
  });

  it('refuses beyond its backlog at once, and after it was closed', async () => {
    openLog({ maxBacklog: 10 });
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    filled.store.beforeAnswer = () => held;
    const taken = Array.from({ length: 10 }, () => log.record(event()));
    await expect(log.record(event())).rejects.toEqual(unavailable);
    filled.store.beforeAnswer = null;
    release();
    await Promise.all(taken);
    await log.record(event());
    await log.close();
    await expect(log.record(event())).rejects.toEqual(unavailable);
    expect(await eventsOf(app)).toHaveLength(11);
  });

  it('writes everything that was recorded before it is closed', async () => {
    openLog({ mode: 'buffered' });
    for (let n = 0; n < 600; n++) await log.record(event());
    await log.close();
    expect(await eventsOf(app)).toHaveLength(600);
    expect(verifyChain(await entriesOf(app.appId), { space: app.appId }).kind).toBe('intact');
  });

  describe('in buffered mode', () => {
    it('resolves at once and writes within 100 ms, in one append', async () => {
      openLog({ mode: 'buffered' });
      await filled.vault.keyring.of(app.appId);
      for (let n = 0; n < 20; n++) await log.record(event());
      expect(filled.store.appended).toHaveLength(0);
      await eventually(() => filled.store.appended.length > 0, 180);
      expect(filled.store.appended).toHaveLength(1);
      await eventually(async () => (await eventsOf(app)).length === 20); // the append began; it may still be under way
    });

    it('waits for the store where a rate is demanded', async () => {
      openLog({ mode: 'buffered' });
      await log.record(event());
      expect(await log.record(event(), [rate])).toHaveLength(1);
      expect(await eventsOf(app)).toHaveLength(2);
    });

    it('keeps its events while the store is down, refuses when the backlog is full, and writes them afterwards', async () => {
      openLog({ mode: 'buffered', maxBacklog: 30 });
      await filled.vault.keyring.of(app.appId);
      filled.store.down = true;
      for (let n = 0; n < 30; n++) await log.record(event());
      await expect(log.record(event())).rejects.toEqual(unavailable);
      await eventually(() => errors.length > 0);
      await expect(log.record(event())).rejects.toEqual(unavailable);
      filled.store.down = false;
      await eventually(async () => (await eventsOf(app)).length === 30);
      await log.record(event());
    });

    it('gives up what it can not write when it is closed', async () => {
      openLog({ mode: 'buffered' });
      await filled.vault.keyring.of(app.appId);
      await log.record(event());
      filled.store.down = true;
      await log.close();
      expect(errors).toEqual([unavailable]);
    });
  });

  it('is sealed for its app: an entry that is moved or changed does not open', async () => {
    openLog();
    const other = await filled.vault.app((await filled.vault.apps.create({ name: issueId(startOfTime) })).value.id);
    await log.record(event());
    const [entry] = await entriesOf(app.appId);
    await filled.store.append(other.appId, [entry!], []);
    await expect(other.audit.list({ order: 'ascending', limit: 10 })).rejects.toMatchObject({ code: 'state_invalid' });
    await filled.store.append(app.appId, [{ ...entry!, sequence: 2 }], []);
    await expect(app.audit.list({ order: 'ascending', limit: 10 })).rejects.toMatchObject({ code: 'state_invalid' });
  });
});
