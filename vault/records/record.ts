/** What a repository hands out: the opened record, and the revision to give back with a change. */
export interface Versioned<T> {
  readonly value: T;
  /** From 1, one more with every change. */
  readonly revision: number;
}

export interface Page<T> {
  readonly items: readonly Versioned<T>[];
  /** How many there are in all, beyond this page. */
  readonly total: number;
}

export interface PageQuery {
  readonly limit: number;
  readonly offset: number;
}
