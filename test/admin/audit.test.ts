import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { trimAudits } from '../../admin/background/trim-audits.ts';
import type { AuditEvent } from '../../core/audit-event.ts';
import { issueId } from '../../core/id.ts';
import { keepAll } from '../../vault/audit/audit-retention.ts';
import { type AdminRig, startAdminRig } from './admin-rig.ts';

const hour = 3_600_000;
let rig: AdminRig;
let path: string;
let start: number;

const record = (at: number, over: Partial<AuditEvent> = {}) =>
  rig.audit.record({
    ...{ id: issueId(at), time: new Date(at).toISOString(), event: 'request.completed', app_id: rig.app.id, ...over },
  });
/** Half an hour away from every bound that is asked for. */
const momentOf = (i: number): number => start - (47.5 - i) * hour;
const list = async (query: string): Promise<(string | null)[]> =>
  (await rig.send('GET', `${path}?${query}`)).json.items.map((event: AuditEvent) => event.path);

beforeAll(async () => {
  rig = await startAdminRig();
  path = `/v1/apps/${rig.app.id}/audit`;
  start = rig.clock();
  const endings: Partial<AuditEvent>[] = [
    { decision: 'allow', status: 200 },
    { decision: 'allow', status: 502, code: 'upstream_incomplete' },
    { event: 'request.decided', decision: 'deny', code: 'host_not_allowed' },
    { event: 'request.decided', decision: 'allow' },
  ];
  for (let i = 0; i < 48; i++) await record(momentOf(i), { path: `/${i}`, ...endings[i % 4] });
});
afterAll(() => rig.close());

describe('the list of the audit', () => {
  const at = (i: number) => encodeURIComponent(new Date(momentOf(i)).toISOString());

  it('is bounded in time, in both orders, by moments and by ages', async () => {
    const wanted = Array.from({ length: 5 }, (_, i) => `/${20 + i}`);
    expect(await list(`order=asc&since=${at(20)}&until=${at(25)}`)).toEqual(wanted);
    expect(await list(`order=desc&since=${at(20)}&until=${at(25)}`)).toEqual(wanted.toReversed());
    expect(await list('order=asc&since=2h')).toEqual(['/46', '/47']);
    expect(await list('order=asc&until=46h')).toEqual(['/0', '/1']);
    expect(await list(`until=${at(-100)}`)).toEqual([]);
    expect(await list('since=1s')).toEqual([]);
  });

  it('goes on from page to page inside the bounds', async () => {
    const seen: unknown[] = [];
    let after = '';
    for (;;) {
      const { json } = await rig.send('GET', `${path}?order=desc&limit=3&since=${at(20)}&until=${at(30)}${after}`);
      seen.push(...json.items.map((event: AuditEvent) => event.path));
      if (!json.has_more) break;
      after = `&after=${json.next}`;
    }
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => `/${29 - i}`));
  });

  it('is filtered by how it ended', async () => {
    const numbers = async (outcome: string) =>
      (await list(`order=asc&limit=100&outcome=${outcome}`)).map((one) => Number(one?.slice(1)) % 4);
    expect(new Set(await numbers('succeeded'))).toEqual(new Set([0]));
    expect(new Set(await numbers('failed'))).toEqual(new Set([1]));
    expect(new Set(await numbers('denied'))).toEqual(new Set([2]));
  });

  it.each(['since=yesterday', 'since=2026-01-01', 'until=1y', 'outcome=good'])('refuses %s', async (query) => {
    expect((await rig.send('GET', `${path}?${query}`)).status).toBe(422);
  });

  it('gives one event by its id, and of another app none', async () => {
    const [first] = (await rig.send('GET', `${path}?order=asc&limit=1`)).json.items;
    expect((await rig.send('GET', `${path}/${first.id}`)).json).toEqual(first);
    expect((await rig.send('GET', `${path}/${issueId(start)}`)).status).toBe(404);
    expect((await rig.send('GET', `${path}/x`)).status).toBe(404);
    expect((await rig.send('GET', `/v1/apps/${rig.otherApp.id}/audit/${first.id}`)).status).toBe(404);
  });
});

describe('the retention of the audit', () => {
  const retention = () => rig.send('GET', `${path}/retention`);
  const trim = () =>
    trimAudits({ vault: rig.vault, audit: rig.audit, limits: keepAll, clock: rig.clock, log: rig.options.log });

  it('keeps everything until somebody says otherwise, who needs the scope for it', async () => {
    const everything = { max_age_seconds: null, max_events: null, require_export: false, inherited: true };
    expect((await retention()).json).toEqual({ ...everything, exported: null, trimmed: null });
    await trim();
    const reader = await rig.issuePat(['dashboard_audit:read']);
    const refused = await rig.send('PUT', `${path}/retention`, { token: reader.plaintext, body: { max_events: 1 } });
    expect(refused.status).toBe(403);
    for (const body of [{ max_events: 0 }, { max_age_seconds: 60 }, { inherit: true, max_events: 5 }, { days: 1 }])
      expect((await rig.send('PUT', `${path}/retention`, { body })).status).toBe(422);
  });

  it('waits for the export, then removes what is old, on record, and verifies', async () => {
    const body = { max_age_seconds: 24 * 3_600, require_export: true };
    expect((await rig.send('PUT', `${path}/retention`, { body })).json).toMatchObject({ ...body, inherited: false });
    await trim();
    expect(await list('order=asc&limit=1')).toEqual(['/0']);
    const { json: page } = await rig.send('GET', `${path}?order=asc&limit=11`);
    expect((await rig.send('POST', `${path}/exported`, { body: { cursor: 'x' } })).status).toBe(422);
    const { json } = await rig.send('POST', `${path}/exported`, { body: { cursor: page.cursor } });
    expect(json.exported.cursor).toBe(page.cursor);
    await trim();
    expect(await list('order=asc&limit=1')).toEqual(['/10']); // the entry of the last exported event stays

    await rig.send('PUT', `${path}/retention`, { body: { max_age_seconds: 24 * 3_600 } });
    await trim();
    expect(await list('order=asc&limit=1')).toEqual(['/24']);
    const verdict = (await rig.send('POST', `${path}/verify`, { body: {} })).json;
    expect(verdict).toMatchObject({ intact: true, trimmed: { events: 24 } });
    expect((await retention()).json.trimmed).toEqual(verdict.trimmed);
    const events = (await rig.events()).map(({ event }) => event).filter((event) => event.startsWith('audit.'));
    expect(events).toEqual([
      ...['audit.retention_updated', 'audit.exported', 'audit.trimmed', 'audit.retention_updated', 'audit.trimmed'],
    ]);
  });

  it('goes back to what the service is configured with', async () => {
    const { json } = await rig.send('PUT', `${path}/retention`, { body: { inherit: true } });
    expect(json).toMatchObject({ max_age_seconds: null, inherited: true });
    const limits = { maxAgeSeconds: null, maxEvents: 5, requireExport: false };
    await rig.audit.record({ ...(await rig.events())[0]!, id: issueId(rig.clock()) });
    await trimAudits({ vault: rig.vault, audit: rig.audit, limits, clock: rig.clock, log: rig.options.log });
    expect((await rig.send('POST', `${path}/verify`, { body: {} })).json).toMatchObject({ intact: true });
  });
});
