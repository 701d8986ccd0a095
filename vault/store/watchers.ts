import type { RecordKey, Watcher } from './store.ts';

/** Everybody who watches one space. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();

  get size(): number {
    return this.#watchers.size;
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  delete(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  tellChange(key: RecordKey): void {
    this.#tell((watcher) => watcher.onChange(key));
  }

  tellReset(): void {
    this.#tell((watcher) => watcher.onReset());
  }

  tellContact(at: number): void {
    this.#tell((watcher) => watcher.onContact(at));
  }

  /** A watcher that throws is a bug, and must not keep others from their news: it is reported as uncaught. */
  #tell(news: (watcher: Watcher) => void): void {
    for (const watcher of this.#watchers) {
      try {
        news(watcher);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }
}
