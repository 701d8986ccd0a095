/** What every adapter of the Store port does. Run by `test/vault/store-*.test.ts`. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type AuditEntry,
  type Change,
  NameTaken,
  type Put,
  type RecordKey,
  RevisionConflict,
  type Store,
  StoreUnavailable,
  type Watcher,
} from '../../vault/store/store.ts';
import { startStopwatch } from '../support/stopwatch.ts';

/** An empty store, and what can be done to it from outside. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Another store on the same data. */
  readonly reopen: () => Promise<Store>;
  /** Closes everything that was opened. */
  readonly release: () => Promise<void>;
  /** What can happen to a store that is a server; null where the store is embedded, which has no connection to lose. */
  readonly server: StoreServer | null;
}

export interface StoreServer {
  /** Cuts the connections of the store, all of them. */
  readonly breakConnection: () => Promise<void>;
  /** The server stops to answer, and goes on. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Everything that is stored is gone. */
  readonly empty: () => Promise<void>;
}

const space = 'app-1';
const text = (value: string): Buffer => Buffer.from(value);

function put(id: string, of: Partial<Put> = {}): Put {
  return { kind: 'put', type: 'thing', id, expectedRevision: 0, body: text(id), tags: [], names: [], ...of };
}

function entry(sequence: number, writer = 'writer'): AuditEntry {
  return { writer, sequence, hash: randomBytes(32), body: text(`event ${sequence}`) };
}

/** Keeps what a watcher is told. */
class Diary implements Watcher {
  readonly changes: string[] = [];
  resets = 0;
  contactAt = Number.NEGATIVE_INFINITY;
  onChange({ type, id }: RecordKey): void {
    this.changes.push(`${type}/${id}`);
  }
  onReset(): void {
    this.resets++;
  }
  onContact(at: number): void {
    this.contactAt = at;
  }
}

async function until(condition: () => boolean, withinMs = 8_000): Promise<void> {
  const elapsedMs = startStopwatch();
  while (!condition()) {
    if (elapsedMs() > withinMs) throw new Error(`waited ${withinMs} ms in vain`);
    await sleep(5);
  }
}

export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a store`, () => {
    let under: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(() => under.release());

    const get = async (id: string, type = 'thing') => (await store.get(space, [{ type, id }]))[0]!;
    const listIds = async (of: Omit<Parameters<Store['list']>[0], 'space' | 'type' | 'limit'> & { limit?: number }) =>
      (await store.list({ space, type: 'thing', limit: 100, ...of })).records.map(({ id }) => id);

    describe('reads and writes records', () => {
      it('gives back what was put, in the order of the question, and null for what is not there', async () => {
        await store.commit(space, [put('a'), put('b', { body: text('B') })]);
        const found = await store.get(space, [
          { type: 'thing', id: 'b' },
          { type: 'thing', id: 'missing' },
          { type: 'other', id: 'a' },
          { type: 'thing', id: 'a' },
        ]);
        expect(found.map((record) => record && { ...record, body: text(Buffer.from(record.body).toString()) })).toEqual(
          [
            { type: 'thing', id: 'b', revision: 1, body: text('B') },
            null,
            null,
            { type: 'thing', id: 'a', revision: 1, body: text('a') },
          ],
        );
        expect(await store.get(space, [])).toEqual([]);
      });

      it('keeps spaces apart', async () => {
        await store.commit(space, [put('a', { names: ['n'], tags: ['t'] })]);
        await store.commit('app-2', [put('a', { names: ['n'], tags: ['t'], body: text('other') })]);
        expect(Buffer.from((await get('a')).body).toString()).toBe('a');
        expect((await store.list({ space: 'app-3', type: 'thing', limit: 10 })).total).toBe(0);
        expect(await store.findByTags('app-3', ['t'], 10)).toEqual([]);
        expect(await store.findByName('app-3', ['n'])).toEqual([null]);
      });

      it('keeps bodies of 0 bytes to 1 MiB as they are', async () => {
        for (const size of [0, 1, 255, 65_537, 1_048_576]) {
          const body = randomBytes(size);
          await store.commit(space, [put(`size-${size}`, { body })]);
          expect(Buffer.compare((await get(`size-${size}`)).body, body)).toBe(0);
        }
        const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
        await store.commit(space, [put('bytes', { body: everyByte.subarray(1, 255) })]);
        expect([...(await get('bytes')).body]).toEqual([...everyByte.subarray(1, 255)]);
      });

      it('raises the revision by one with every change and starts again after a deletion', async () => {
        await store.commit(space, [put('a')]);
        await store.commit(space, [put('a', { expectedRevision: 1, body: text('2') })]);
        expect((await get('a')).revision).toBe(2);
        await store.commit(space, [{ kind: 'delete', type: 'thing', id: 'a', expectedRevision: 2 }]);
        expect(await get('a')).toBeNull();
        await store.commit(space, [put('a')]);
        expect((await get('a')).revision).toBe(1);
      });

      it.each<[string, Change]>([
        ['a new record that exists', put('a')],
        ['an older revision', put('a', { expectedRevision: 1 })],
        ['a later revision', put('a', { expectedRevision: 3 })],
        ['a change of what is not there', put('missing', { expectedRevision: 1 })],
        ['a deletion of an older revision', { kind: 'delete', type: 'thing', id: 'a', expectedRevision: 1 }],
      ])('refuses %s and changes nothing', async (_, change) => {
        await store.commit(space, [put('a')]);
        await store.commit(space, [put('a', { expectedRevision: 1, body: text('2') })]);
        const refused = store.commit(space, [put('before', { names: ['n'], tags: ['t'] }), change, put('behind')]);
        await expect(refused).rejects.toThrow(RevisionConflict);
        await expect(refused).rejects.toMatchObject({ key: { type: 'thing', id: change.id } });
        expect(await get('before')).toBeNull();
        expect(await get('behind')).toBeNull();
        expect(await store.findByName(space, ['n'])).toEqual([null]);
        expect(await store.findByTags(space, ['t'], 10)).toEqual([]);
        expect((await get('a')).revision).toBe(2);
      });

      it('changes a record once in a commit', async () => {
        await expect(store.commit(space, [put('a'), put('a')])).rejects.toThrow(RevisionConflict);
        await expect(store.commit(space, [put('a'), put('a', { expectedRevision: 1 })])).rejects.toThrow(
          RevisionConflict,
        );
        expect(await get('a')).toBeNull();
      });

      it('loses none of 100 increments that are made at the same time', async () => {
        await store.commit(space, [put('counter', { body: text('0') })]);
        const increment = async (): Promise<void> => {
          for (;;) {
            const { revision, body } = await get('counter');
            const next = text(String(Number(Buffer.from(body).toString()) + 1));
            try {
              return await store.commit(space, [put('counter', { expectedRevision: revision, body: next })]);
            } catch (error) {
              if (!(error instanceof RevisionConflict)) throw error;
            }
          }
        };
        await Promise.all(Array.from({ length: 100 }, increment));
        const { revision, body } = await get('counter');
        expect([revision, Buffer.from(body).toString()]).toEqual([101, '100']);
      });

      it('gives every one of many concurrent commits its own result', async () => {
        await store.commit(space, [put('taken', { names: ['taken'] })]);
        const results = await Promise.allSettled(
          Array.from({ length: 60 }, (_, index) => {
            const id = `n-${index}`;
            if (index % 3 === 0) return store.commit(space, [put(id), put('taken')]);
            if (index % 3 === 1) return store.commit(space, [put(id, { names: ['taken'] })]);
            return store.commit(space, [put(id, { body: text(`body ${index}`) })]);
          }),
        );
        for (const [index, result] of results.entries()) {
          const reason: unknown = result.status === 'rejected' ? result.reason : null;
          if (index % 3 === 0) expect(reason).toBeInstanceOf(RevisionConflict);
          else if (index % 3 === 1) expect(reason).toBeInstanceOf(NameTaken);
          else expect(reason).toBeNull();
          const record = await get(`n-${index}`);
          expect(record && Buffer.from(record.body).toString()).toBe(index % 3 === 2 ? `body ${index}` : null);
        }
      });
    });

    describe('finds by name', () => {
      it('finds the one record that holds a name, whatever its type', async () => {
        await store.commit(space, [put('a', { names: ['one', 'two'] }), put('b', { type: 'other', names: ['three'] })]);
        expect(await store.findByName(space, ['three', 'four', 'one', 'two'])).toEqual([
          { type: 'other', id: 'b' },
          null,
          { type: 'thing', id: 'a' },
          { type: 'thing', id: 'a' },
        ]);
        expect(await store.findByName(space, [])).toEqual([]);
      });

      it('refuses a name that another record holds and changes nothing', async () => {
        await store.commit(space, [put('a', { names: ['slug'] })]);
        const refused = store.commit(space, [put('b'), put('c', { names: ['free', 'slug'] })]);
        await expect(refused).rejects.toThrow(NameTaken);
        await expect(refused).rejects.toMatchObject({ taken: 'slug' });
        expect(await get('b')).toBeNull();
        expect(await store.findByName(space, ['slug', 'free'])).toEqual([{ type: 'thing', id: 'a' }, null]);
      });

      it('refuses two records of one commit that want the same name', async () => {
        await expect(store.commit(space, [put('a', { names: ['x'] }), put('b', { names: ['x'] })])).rejects.toThrow(
          NameTaken,
        );
        expect(await get('a')).toBeNull();
      });

      it('frees what a new version no longer names, and what a deleted record named', async () => {
        await store.commit(space, [put('a', { names: ['one', 'two'] })]);
        await store.commit(space, [put('a', { expectedRevision: 1, names: ['two', 'two'] })]);
        await store.commit(space, [put('b', { names: ['one'] })]);
        await store.commit(space, [{ kind: 'delete', type: 'thing', id: 'a', expectedRevision: 2 }]);
        await store.commit(space, [put('c', { names: ['two'] })]);
        expect(await store.findByName(space, ['one', 'two'])).toEqual([
          { type: 'thing', id: 'b' },
          { type: 'thing', id: 'c' },
        ]);
      });

      it('lets two records swap their names in one commit', async () => {
        await store.commit(space, [put('a', { names: ['x'] }), put('b', { names: ['y'] })]);
        await store.commit(space, [
          put('a', { expectedRevision: 1, names: ['y'] }),
          put('b', { expectedRevision: 1, names: ['x'] }),
        ]);
        expect((await store.findByName(space, ['x', 'y'])).map((key) => key?.id)).toEqual(['b', 'a']);
      });

      it('lets exactly one of 20 concurrent records have a name', async () => {
        const results = await Promise.allSettled(
          Array.from({ length: 20 }, (_, index) => store.commit(space, [put(`r-${index}`, { names: ['wanted'] })])),
        );
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      });
    });

    describe('lists', () => {
      beforeEach(async () => {
        await store.commit(
          space,
          ['e', 'a', 'd', 'c', 'b'].map((id) => put(id, { tags: 'ace'.includes(id) ? ['odd', 'all'] : ['all'] })),
        );
        await store.commit(space, [put('b2', { type: 'other', tags: ['all', 'odd'] }), put('x', { type: 'thing2' })]);
      });

      it('pages in both orders, by offset and behind an id, and counts all', async () => {
        expect(await listIds({})).toEqual(['a', 'b', 'c', 'd', 'e']);
        expect(await listIds({ order: 'descending' })).toEqual(['e', 'd', 'c', 'b', 'a']);
        expect(await listIds({ limit: 2 })).toEqual(['a', 'b']);
        expect(await listIds({ limit: 2, offset: 3 })).toEqual(['d', 'e']);
        expect(await listIds({ limit: 2, after: 'b' })).toEqual(['c', 'd']);
        expect(await listIds({ after: 'bb', offset: 1 })).toEqual(['d', 'e']);
        expect(await listIds({ limit: 2, after: 'd', order: 'descending' })).toEqual(['c', 'b']);
        expect(await listIds({ offset: 9 })).toEqual([]);
        expect(await listIds({ limit: 0 })).toEqual([]);
        const page = await store.list({ space, type: 'thing', limit: 1, after: 'c' });
        expect([page.total, page.records[0]?.revision, Buffer.from(page.records[0]!.body).toString()]).toEqual([
          5,
          1,
          'd',
        ]);
      });

      it('lists and counts what carries a tag, of one type', async () => {
        expect(await listIds({ tag: 'odd' })).toEqual(['a', 'c', 'e']);
        expect(await listIds({ tag: 'odd', order: 'descending', after: 'e', limit: 1 })).toEqual(['c']);
        expect((await store.list({ space, type: 'thing', tag: 'odd', limit: 1 })).total).toBe(3);
        expect((await store.list({ space, type: 'other', tag: 'odd', limit: 1 })).total).toBe(1);
        expect((await store.list({ space, type: 'thing', tag: 'none', limit: 1 })).total).toBe(0);
      });

      it('replaces the whole set of tags, and drops it with the record', async () => {
        await store.commit(space, [put('a', { expectedRevision: 1, tags: ['even', 'even'] })]);
        await store.commit(space, [{ kind: 'delete', type: 'thing', id: 'c', expectedRevision: 1 }]);
        expect(await listIds({ tag: 'odd' })).toEqual(['e']);
        expect(await listIds({ tag: 'even' })).toEqual(['a']);
        expect(await listIds({})).toEqual(['a', 'b', 'd', 'e']);
      });

      it('finds what carries any of several tags, each record once and at most as many as wanted', async () => {
        const found = await store.findByTags(space, ['odd', 'all', 'none', 'odd'], 100);
        expect(found.map(({ type, id }) => `${type}/${id}`).sort()).toEqual([
          'other/b2',
          ...['a', 'b', 'c', 'd', 'e'].map((id) => `thing/${id}`),
        ]);
        expect(await store.findByTags(space, ['odd', 'all'], 3)).toHaveLength(3);
        expect(await store.findByTags(space, ['none'], 3)).toEqual([]);
        expect(await store.findByTags(space, [], 3)).toEqual([]);
      });
    });

    it('keeps hostile spaces, types, ids, tags and names apart', async () => {
      const words = [
        ...[
          'a',
          'a b',
          'a:b',
          ':',
          '::',
          'a:',
          '{a}',
          '}',
          '{',
          '{}',
          'a}:{b',
          '%',
          '%3A',
          "'",
          '"',
          '\\',
          '*',
          '[a',
          '(a',
        ],
        ...[
          'a\0b',
          'a\0',
          '\r\n',
          'é',
          'e\u0301',
          '\u{1F600}',
          '\uFFFF',
          '-',
          '+',
          '__proto__',
          'constructor',
          ';',
          'a;',
        ],
        ...['record:a', 'names', 'head', 'x'.repeat(1024), 'x'.repeat(1025)],
      ];
      for (const word of words) {
        await store.commit(word, [put('id', { type: 'type', tags: ['t'], names: ['n'], body: text(`space ${word}`) })]);
      }
      await store.commit(
        space,
        words.map((word) => put(word, { type: 'type', tags: [word], names: [word], body: text(`id ${word}`) })),
      );
      await store.commit(
        space,
        words.map((word) => put('id', { type: word, tags: [`of ${word}`], body: text(`type ${word}`) })),
      );
      const read = async (of: string, key: RecordKey) => Buffer.from((await store.get(of, [key]))[0]!.body).toString();
      for (const word of words) {
        expect(await read(word, { type: 'type', id: 'id' })).toBe(`space ${word}`);
        expect(await read(space, { type: 'type', id: word })).toBe(`id ${word}`);
        expect(await read(space, { type: word, id: 'id' })).toBe(`type ${word}`);
        expect(await store.findByName(space, [word])).toEqual([{ type: 'type', id: word }]);
        expect(await store.findByTags(space, [word], 10)).toEqual([{ type: 'type', id: word }]);
        expect(await store.findByTags(space, [`of ${word}`], 10)).toEqual([{ type: word, id: 'id' }]);
        expect((await store.list({ space, type: word, limit: 9 })).records.map(({ id }) => id)).toEqual(['id']);
      }
      const inOrder = words.toSorted((a, b) => Buffer.compare(text(a), text(b)));
      const walked: string[] = [];
      for (;;) {
        const last = walked.at(-1);
        const query = { space, type: 'type', limit: 7, ...(last === undefined ? {} : { after: last }) };
        const { records, total } = await store.list(query);
        expect(total).toBe(words.length);
        if (records.length === 0) break;
        walked.push(...records.map(({ id }) => id));
      }
      expect(walked).toEqual(inOrder);
    });

    describe('keeps the audit', () => {
      it('gives entries back in the order of appending, or the reverse, behind a cursor', async () => {
        await store.append(space, [entry(1), entry(2)], []);
        await store.append('app-2', [entry(9, 'other')], []);
        await store.append(space, [entry(3), { ...entry(4), body: randomBytes(1000) }], []);
        await store.append(space, [], []);
        const all = await store.readAudit({ space, limit: 100 });
        expect(all.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
        expect(all[0]?.writer).toBe('writer');
        expect(Buffer.from(all[2]!.body).toString()).toBe('event 3');
        expect(all.map(({ hash, body }) => [hash.length, body.length])).toEqual([
          [32, 7],
          [32, 7],
          [32, 7],
          [32, 1000],
        ]);
        const sequences = async (query: object) =>
          (await store.readAudit({ space, limit: 100, ...query })).map(({ sequence }) => sequence);
        expect(await sequences({ order: 'descending' })).toEqual([4, 3, 2, 1]);
        expect(await sequences({ limit: 2 })).toEqual([1, 2]);
        expect(await sequences({ after: all[1]!.cursor })).toEqual([3, 4]);
        expect(await sequences({ after: all[1]!.cursor, order: 'descending' })).toEqual([1]);
        expect(await sequences({ after: all[3]!.cursor })).toEqual([]);
        expect(await sequences({ after: all[1]!.cursor, including: true })).toEqual([2, 3, 4]);
        expect(await sequences({ after: all[1]!.cursor, including: true, order: 'descending' })).toEqual([2, 1]);
        expect(await sequences({ limit: 0 })).toEqual([]);
      });

      it('keeps the exact bytes of every entry when many groups are appended at once', async () => {
        const groups = Array.from({ length: 50 }, (_, group) =>
          Array.from({ length: 4 }, (_, index) => ({
            ...entry(index, `writer-${group}`),
            body: randomBytes(group * 7),
          })),
        );
        await Promise.all(groups.map((group) => store.append(space, group, [])));
        const stored = await store.readAudit({ space, limit: 1000 });
        expect(stored).toHaveLength(200);
        for (const [group, entries] of groups.entries()) {
          const mine = stored.filter(({ writer }) => writer === `writer-${group}`);
          expect(mine.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
          for (const [index, { hash, body }] of entries.entries()) {
            expect(Buffer.compare(mine[index]!.hash, hash) || Buffer.compare(mine[index]!.body, body)).toBe(0);
          }
        }
      });

      it('removes the oldest entries up to a cursor, of one space, and gives no cursor twice', async () => {
        await store.append(space, [entry(1), entry(2), entry(3)], []);
        await store.append('app-2', [entry(1)], []);
        const all = await store.readAudit({ space, limit: 100 });
        await store.trimAudit(space, all[1]!.cursor);
        const left = async (of: string) =>
          (await store.readAudit({ space: of, limit: 100 })).map(({ sequence }) => sequence);
        expect(await left(space)).toEqual([3]);
        expect(await left('app-2')).toEqual([1]);
        await store.trimAudit(space, all[1]!.cursor);
        await store.trimAudit(space, all[2]!.cursor);
        expect(await left(space)).toEqual([]);
        await store.append(space, [entry(4)], []);
        expect(await store.readAudit({ space, after: all[2]!.cursor, limit: 9 })).toHaveLength(1);
        await expect(store.trimAudit(space, 'x')).rejects.toMatchObject({ code: 'validation_failed' });
      });

      it('refuses a cursor that it never gave', async () => {
        for (const after of ['', 'x', '-1', '1 OR 1', '$', '1-', '9'.repeat(40)]) {
          await expect(store.readAudit({ space, after, limit: 1 })).rejects.toMatchObject({
            code: 'validation_failed',
          });
        }
      });
    });

    describe('takes rates', () => {
      const hour = { bucket: 'b', requests: 50, perSeconds: 86_400 };

      it('allows exactly as many as the rate says of 200 that come at once', async () => {
        const verdicts = (
          await Promise.all(
            Array.from({ length: 100 }, (_, index) => store.append(space, [entry(index)], [hour, { ...hour }])),
          )
        ).flat();
        expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(50);
        const refused = verdicts.filter(({ allowed }) => !allowed);
        expect(refused).toHaveLength(150);
        for (const { retryAfterSeconds } of refused) {
          expect(retryAfterSeconds).toBeGreaterThan(0);
          expect(retryAfterSeconds).toBeLessThanOrEqual(86_400);
        }
        expect(await store.readAudit({ space, limit: 1000 })).toHaveLength(100);
      });

      it('counts buckets, windows and spaces apart and answers in the order of the takes', async () => {
        const one = { bucket: 'one', requests: 1, perSeconds: 3600 };
        const takes = [one, { ...one, bucket: 'two' }, one, { ...one, perSeconds: 86_400 }, { ...one, requests: 0 }];
        const verdicts = await store.append(space, [], takes);
        expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, true, false, true, false]);
        expect(verdicts[0]).toEqual({ allowed: true, retryAfterSeconds: 0 });
        expect((await store.append('app-2', [], [one]))[0]?.allowed).toBe(true);
      });

      it('counts all rates of one request or none, so that one that is used up takes nothing from the others', async () => {
        const own = { bucket: 'own', requests: 2, perSeconds: 86_400 };
        const shared = { bucket: 'shared', requests: 5, perSeconds: 86_400, withPrevious: true };
        const request = [own, shared];
        const verdicts = await store.append(space, [], Array.from({ length: 10 }, () => request).flat());
        expect(verdicts.map(({ allowed }) => allowed)).toEqual(
          Array.from({ length: 10 }, (_, index) => [index < 2, true]).flat(),
        );
        const other = { ...own, bucket: 'other', requests: 9 };
        const left = await store.append(space, [], Array.from({ length: 4 }, () => [other, shared]).flat());
        expect(left.filter((_, index) => index % 2 === 1).map(({ allowed }) => allowed)).toEqual([
          true,
          true,
          true,
          false,
        ]);
        const ofOther = await store.append(
          space,
          [],
          Array.from({ length: 7 }, () => other),
        );
        expect(ofOther.map(({ allowed }) => allowed)).toEqual([...Array.from({ length: 6 }, () => true), false]);
      });

      it('allows again when the window is over', async () => {
        const take = { bucket: 'short', requests: 2, perSeconds: 1 };
        const allowed = async () => (await store.append(space, [], [take]))[0]!.allowed;
        await sleep(1_010 - (Date.now() % 1000));
        expect([await allowed(), await allowed(), await allowed()]).toEqual([true, true, false]);
        await sleep(1_010 - (Date.now() % 1000));
        expect(await allowed()).toBe(true);
      });
    });

    describe('is watched', () => {
      it('tells of every change in order, of the watched space only, and of none from before', async () => {
        const diary = new Diary();
        await store.commit(space, [put('before')]);
        await store.watch(space, diary);
        for (let index = 0; index < 20; index++) {
          await store.commit(space, [put(`a-${index}`), put(`b-${index}`, { type: 'other' })]);
        }
        await store.commit('app-2', [put('elsewhere')]);
        await store.commit(space, [put('refused'), put('before')]).catch(() => undefined);
        await store.commit(space, [{ kind: 'delete', type: 'thing', id: 'before', expectedRevision: 1 }]);
        await until(() => diary.changes.includes('thing/before'));
        expect(diary.changes).toEqual([
          ...Array.from({ length: 20 }, (_, index) => [`thing/a-${index}`, `other/b-${index}`]).flat(),
          'thing/before',
        ]);
        expect(diary.resets).toBe(0);
      });

      it('misses nothing that is committed after watch has resolved, in any of many spaces', async () => {
        const spaces = Array.from({ length: 30 }, (_, index) => `watched-${index}`);
        const diaries = await Promise.all(
          spaces.map(async (watched) => {
            const diary = new Diary();
            await store.watch(watched, diary);
            await store.commit(watched, [put('x')]);
            return diary;
          }),
        );
        await until(() => diaries.every(({ changes }) => changes.length > 0), 2_000);
        for (const diary of diaries) expect([diary.changes, diary.resets]).toEqual([['thing/x'], 0]);
      });

      it('tells a change of a space that is added to a running watch within a second', async () => {
        await store.watch(space, new Diary());
        await sleep(100);
        const diary = new Diary();
        const elapsedMs = startStopwatch();
        await store.watch('app-2', diary);
        await store.commit('app-2', [put('x')]);
        await until(() => diary.changes.length > 0);
        expect(elapsedMs()).toBeLessThan(1_000);
      });

      it('makes contact twice a second, with a time that is past', async () => {
        const diary = new Diary();
        await store.watch(space, diary);
        for (let index = 0; index < 4; index++) {
          await sleep(500);
          expect(diary.contactAt).toBeLessThanOrEqual(performance.now());
          expect(performance.now() - diary.contactAt).toBeLessThan(1_000);
        }
      });

      it('has told of everything that was acknowledged before the time of a contact', async () => {
        const diary = new Diary();
        await store.watch(space, diary);
        for (let index = 0; index < 20; index++) {
          await store.commit(space, [put(`x-${index}`)]);
          const acknowledgedAt = performance.now();
          await until(() => diary.contactAt > acknowledgedAt || diary.changes.includes(`thing/x-${index}`));
          expect(diary.changes).toContain(`thing/x-${index}`);
        }
      });

      it('tells two watchers of one space, until each has stopped', async () => {
        const [first, second] = [new Diary(), new Diary()];
        const watch = await store.watch(space, first);
        await store.watch(space, second);
        await store.commit(space, [put('a')]);
        await until(() => first.changes.length === 1 && second.changes.length === 1);
        watch.stop();
        await store.commit(space, [put('b')]);
        await until(() => second.changes.length === 2);
        expect(first.changes).toEqual(['thing/a']);
      });

      it('has told its own watcher, or is about to, when a commit of 1,200 changes resolves', async () => {
        const diary = new Diary();
        await store.watch(space, diary);
        const ids = Array.from({ length: 1200 }, (_, index) => `n-${index}`);
        await store.commit(
          space,
          ids.map((id) => put(id)),
        );
        await until(() => diary.changes.length === 1200);
        expect(diary.changes).toEqual(ids.map((id) => `thing/${id}`));
      });
    });

    describe('ends', () => {
      it('finishes what is under way and refuses everything afterwards', async () => {
        await store.ping();
        const underWay = [
          ...Array.from({ length: 20 }, (_, index) => store.commit(space, [put(`x-${index}`)])),
          store.append(space, [entry(1)], []),
        ];
        const closed = store.close();
        await Promise.all(underWay);
        await closed;
        await store.close();
        const calls: (() => Promise<unknown>)[] = [
          () => store.get(space, [{ type: 'thing', id: 'a' }]),
          () => store.findByName(space, ['a']),
          () => store.list({ space, type: 'thing', limit: 1 }),
          () => store.findByTags(space, ['a'], 1),
          () => store.commit(space, [put('a')]),
          () => store.append(space, [entry(1)], []),
          () => store.readAudit({ space, limit: 1 }),
          () => store.watch(space, new Diary()),
          () => store.ping(),
        ];
        for (const call of calls) await expect(call()).rejects.toThrow(StoreUnavailable);
        store = await under.reopen();
        expect((await store.list({ space, type: 'thing', limit: 100 })).total).toBe(20);
        expect(await store.readAudit({ space, limit: 10 })).toHaveLength(1);
      });

      it('makes no contact after it is closed', async () => {
        const diary = new Diary();
        await store.watch(space, diary);
        await store.close();
        const { contactAt } = diary;
        await sleep(600);
        expect(diary.contactAt).toBe(contactAt);
      });

      it('keeps records, names, tags, rates and audit for whoever opens it next', async () => {
        const take = { bucket: 'b', requests: 1, perSeconds: 86_400 };
        const id = randomUUID();
        await store.commit(space, [put(id, { names: ['n'], tags: ['t'] })]);
        await store.append(space, [entry(7)], [take]);
        await store.close();
        const again = await under.reopen();
        expect((await again.get(space, [{ type: 'thing', id }]))[0]?.revision).toBe(1);
        expect(await again.findByName(space, ['n'])).toEqual([{ type: 'thing', id }]);
        expect(await again.findByTags(space, ['t'], 9)).toEqual([{ type: 'thing', id }]);
        expect((await again.readAudit({ space, limit: 9 }))[0]?.sequence).toBe(7);
        expect((await again.append(space, [], [take]))[0]?.allowed).toBe(false);
      });
    });
  });
}

/** Besides `describeStore`, for a store that is a server. */
export function describeStoreServer(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a server`, () => {
    let under: StoreUnderTest;
    let store: Store;
    let server: StoreServer;

    beforeEach(async () => {
      under = await open();
      store = under.store;
      if (under.server === null) throw new Error('the store is no server');
      server = under.server;
    });
    afterEach(() => under.release());

    it('loses no change to a watcher whose connection is cut, and goes on', async () => {
      const other = await under.reopen();
      const diary = new Diary();
      await store.watch(space, diary);
      const expected: string[] = [];
      for (let index = 0; index < 60; index++) {
        if (index % 20 === 10) await server.breakConnection();
        const id = `x-${index}`;
        // The writer's own connection is cut as well: whether the commit was applied is asked.
        for (;;) {
          try {
            await other.commit(space, [put(id)]);
            break;
          } catch (error) {
            if (error instanceof RevisionConflict) break;
            expect(error).toBeInstanceOf(StoreUnavailable);
            await sleep(20);
          }
        }
        expected.push(`thing/${id}`);
      }
      await until(() => diary.changes.length >= 60);
      expect(diary.changes).toEqual(expected);
      expect(diary.resets).toBe(0);
      await until(() => performance.now() - diary.contactAt < 500);
    });

    it('says that everything must be forgotten when the store was emptied, and goes on', async () => {
      const diary = new Diary();
      await store.commit(space, [put('a')]);
      await store.watch(space, diary);
      await store.commit(space, [put('b')]);
      await until(() => diary.changes.length === 1);
      await server.empty();
      await until(() => diary.resets > 0, 1_500);
      await store.commit(space, [put('c')]);
      await until(() => diary.resets > 1 || diary.changes.includes('thing/c'));
      await store.commit(space, [put('d')]);
      await until(() => diary.changes.includes('thing/d'));
    });

    it('makes no contact while the store hangs, refuses in bounded time, and comes back', async () => {
      const diary = new Diary();
      await store.watch(space, diary);
      await until(() => diary.contactAt > 0);
      server.pause();
      const pausedAt = performance.now();
      const pausedMs = startStopwatch();
      try {
        await sleep(50);
        const refused = Array.from({ length: 200 }, (_, index) => store.append(space, [entry(index)], []));
        refused.push(store.ping().then(() => []));
        for (const { status } of await Promise.allSettled(refused)) expect(status).toBe('rejected');
        expect(pausedMs()).toBeLessThan(4_000);
        // Afterwards it is known to be gone, and nothing waits.
        const elapsedMs = startStopwatch();
        await expect(store.get(space, [{ type: 'thing', id: 'a' }])).rejects.toThrow(StoreUnavailable);
        expect(elapsedMs()).toBeLessThan(500);
        expect(diary.contactAt).toBeLessThanOrEqual(pausedAt + 50);
      } finally {
        server.resume();
      }
      const resumedAt = performance.now();
      const resumedMs = startStopwatch();
      await until(() => diary.contactAt > resumedAt, 5_000);
      for (;;) {
        if (
          await store.commit(space, [put('after')]).then(
            () => true,
            () => false,
          )
        )
          break;
        expect(resumedMs()).toBeLessThan(5_000);
        await sleep(20);
      }
      await until(() => diary.changes.includes('thing/after'));
    });
  });
}
