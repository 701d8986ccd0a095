/**
 * A process that writes to the embedded store until it is killed: a commit and an audit entry for every number, which it
 * prints once both were acknowledged. Called with the path of the file.
 */
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';

const path = process.argv[2];
if (path === undefined) throw new Error('the path of the store is missing');
const store = await openSqliteStore({ path });
let next = 0;
const write = async (): Promise<never> => {
  for (;;) {
    const number = next++;
    const id = String(number);
    await Promise.all([
      store.commit('s', [
        { kind: 'put', type: 'thing', id, expectedRevision: 0, body: Buffer.alloc(200, id), tags: ['t'], names: [id] },
      ]),
      store.append('s', [{ writer: 'w', sequence: number, hash: Buffer.alloc(32), body: Buffer.alloc(300, id) }], []),
    ]);
    process.stdout.write(`${id}\n`);
  }
};
await Promise.all(Array.from({ length: 8 }, write));
