/** What several {@link Lru} hold together, at most. They are made once, and live as long as this does. */
export class SharedCapacity {
  readonly #perGeneration: number;
  readonly #members: (() => void)[] = [];
  #young = 0;

  constructor(capacity: number) {
    this.#perGeneration = Math.max(1, Math.floor(capacity / 2));
  }

  /** `age` lets the older generation go, and makes the younger one the older. */
  join(age: () => void): void {
    this.#members.push(age);
  }

  /** To be called before an entry is added to a younger generation. */
  take(): void {
    if (this.#young >= this.#perGeneration) {
      this.#young = 0;
      for (const age of this.#members) age();
    }
    this.#young++;
  }

  /** As many entries were taken out of a younger generation. */
  giveBack(count: number): void {
    this.#young -= count;
  }
}

/**
 * A map that holds at most `capacity` entries and lets go of those that were not asked for the longest: it keeps two
 * generations, and when the younger one has filled its half, the older one goes. To find something in the younger one
 * changes nothing, which is what almost every look-up of a warm proxy does.
 */
export class Lru<V> {
  readonly #capacity: SharedCapacity;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  constructor(capacity: number | SharedCapacity) {
    this.#capacity = typeof capacity === 'number' ? new SharedCapacity(capacity) : capacity;
    this.#capacity.join(() => {
      this.#old = this.#young;
      this.#young = new Map();
    });
  }

  get size(): number {
    let size = this.#young.size;
    for (const key of this.#old.keys()) if (!this.#young.has(key)) size++;
    return size;
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const older = this.#old.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  set(key: string, value: V): void {
    if (!this.#young.has(key)) this.#capacity.take();
    this.#young.set(key, value);
  }

  delete(key: string): void {
    if (this.#young.delete(key)) this.#capacity.giveBack(1);
    this.#old.delete(key);
  }

  clear(): void {
    this.#capacity.giveBack(this.#young.size);
    this.#young.clear();
    this.#old.clear();
  }
}
