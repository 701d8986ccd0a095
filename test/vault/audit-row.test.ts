import { describe, expect, it } from '@jest/globals';
import type { AuditEvent } from '../../core/audit-event.ts';
import { readRows, toRows } from '../../vault/audit/audit-row.ts';

/** An event with something in every field. */
const full: Required<AuditEvent> = {
  ...{ id: 'event-1', time: '2026-06-03T12:00:00.000Z', event: 'request.decided', app_id: 'app-1' },
  ...{ request_id: 'request-1', key_id: 'key-1', principal_type: 'group', principal_id: 'p-1', agent_id: 'agent-1' },
  ...{ user_id: 'user-1', grant_id: 'grant-1', managed_secret_id: 'secret-1', managed_secret_slug: 'stripe' },
  ...{ secret_version: 3, method: 'GET', host: 'api.example.com', path: '/v1/"quoted"\\\u0007é', status: 200 },
  ...{ latency_ms: 1.5, decision: 'allow', code: 'none', policy_error: 'path_not_allowed', reason: 'because' },
  ...{ caller: 'bot', context: 'run=1', client_ip: '127.0.0.1' },
};
const names = Object.keys(full).filter((name) => name !== 'app_id') as (keyof AuditEvent)[];

const keepAndRead = (events: readonly AuditEvent[]) =>
  readRows(JSON.parse(JSON.stringify(toRows(events))) as unknown, 'app-1');

describe('the events of an entry', () => {
  it.each(names)('come back as they were where two differ in their %s alone', (name) => {
    const others: Partial<Record<keyof AuditEvent, unknown>> = { event: 'request.completed', decision: 'deny' };
    const other = { ...full, [name]: others[name] ?? (typeof full[name] === 'number' ? 7 : 'another') } as AuditEvent;
    for (const events of [
      [full, other],
      [other, full, other, full],
    ])
      expect(keepAndRead(events)).toEqual(events);
  });

  it('come back in their order, however many parties there are', () => {
    const events = Array.from({ length: 200 }, (_, n) => ({ ...full, id: `e-${n}`, key_id: `key-${(n * 7) % 23}` }));
    expect(keepAndRead(events)).toEqual(events);
  });

  it('are null where they were absent', () => {
    const { id, time, event, app_id } = full;
    const [read] = keepAndRead([{ id, time, event, app_id }])!;
    expect(read).toEqual({ ...Object.fromEntries(names.map((name) => [name, null])), id, time, event, app_id });
  });

  it.each([
    [null],
    [[]],
    [[[], []], 'none'],
    [[[[]], [[0, 'id']]]],
    [[[], [[0, 'id', 'time']]]],
    [[[['k']], [['length', 'id', 'time']]]],
    [[[[{}]], [[0, 'id', 'time']]]],
  ])('are not read from %j', (stored, what = 'null') => {
    expect(readRows(stored, 'app-1')).toEqual(what === 'none' ? [] : null);
  });
});
