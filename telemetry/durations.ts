import { Histogram, type Registry } from 'prom-client';

/**
 * A histogram without labels, of seconds. The one of the package makes a closure and a hash of the labels for every
 * observation, on the way of every request; this one adds to a number, and tells of it when it is asked.
 */
export class Durations extends Histogram {
  readonly #about: { readonly name: string; readonly help: string };
  readonly #bounds: readonly number[];
  /** Observations in each bucket, not counting those of the smaller ones; the last has no bound. */
  readonly #counts: number[];
  #sum = 0;

  constructor(of: {
    readonly name: string;
    readonly help: string;
    readonly bounds: readonly number[];
    readonly registry: Registry;
  }) {
    super({ name: of.name, help: of.help, buckets: [...of.bounds], registers: [of.registry] });
    this.#about = of;
    this.#bounds = of.bounds;
    this.#counts = [...of.bounds, Infinity].map(() => 0);
  }

  add(seconds: number): void {
    let at = 0;
    while (at < this.#bounds.length && seconds > this.#bounds[at]!) at++;
    this.#counts[at]!++;
    this.#sum += seconds;
  }

  /** What the package asks its histograms for, to show them as text, and by its `get` as data. It is not in its types. */
  async getForPromString() {
    const { name, help } = this.#about;
    let count = 0;
    const values = this.#counts.map((inBucket, at) => {
      count += inBucket;
      return sampleOf({ le: this.#bounds[at] ?? '+Inf' }, count, `${name}_bucket`);
    });
    values.push(sampleOf({}, this.#sum, `${name}_sum`), sampleOf({}, count, `${name}_count`));
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

function sampleOf(labels: { readonly le?: number | string }, value: number, metricName: string) {
  return { labels, sharedLabels: {}, value, metricName };
}
