/** A process that owns the embedded store, and lets the one that started it use it. Called with the path of the file. */
import { StoreOwner } from '../../vault/store/store-owner.ts';
import { openSqliteStore } from '../../vault/store/store-sqlite.ts';

const owner = new StoreOwner(await openSqliteStore({ path: process.argv[2]! }));
owner.serve({
  send: (message) => void process.send!(message),
  onMessage: (listener) => void process.on('message', listener),
  onClose: (listener) => void process.once('disconnect', listener),
});
process.once('disconnect', () => void owner.close());
process.send!('ready');
