import { describe, expect, it } from '@jest/globals';
import { AggregatorRegistry, Histogram, Registry } from 'prom-client';
import { Durations } from '../../telemetry/durations.ts';

const bounds = [0.001, 0.01, 0.1, 1];
const seen = [0, 0.0005, 0.001, 0.0011, 0.01, 0.05, 0.1, 0.999, 1, 1.5, 60];

/** The package's own histogram and ours, of the same name, after the same observations. */
function both() {
  const [theirs, ours] = [new Registry(), new Registry()];
  const name = 'alter_test_seconds';
  const histogram = new Histogram({ name, help: 'For the test.', buckets: bounds, registers: [theirs] });
  const durations = new Durations({ name, help: 'For the test.', bounds, registry: ours });
  for (const seconds of seen) {
    histogram.observe(seconds);
    durations.add(seconds);
  }
  return { theirs, ours };
}

/** Without exemplars, which neither has. */
async function dataOf(registry: Registry) {
  const text = JSON.stringify(await registry.getMetricsAsJSON(), (name, value) =>
    name === 'exemplar' ? undefined : value,
  );
  return JSON.parse(text) as unknown;
}

describe('durations', () => {
  it('read as those of the package do, as text and as data, each time that they are asked for', async () => {
    const { theirs, ours } = both();
    for (let i = 0; i < 2; i++) {
      expect(await ours.metrics()).toBe(await theirs.metrics());
      expect(await dataOf(ours)).toEqual(await dataOf(theirs));
    }
  });

  it('are added up over several processes', async () => {
    const { theirs, ours } = both();
    const together = async (registry: Registry) => {
      const one = await registry.getMetricsAsJSON();
      return AggregatorRegistry.aggregate([structuredClone(one), structuredClone(one)]).metrics();
    };
    expect(await together(ours)).toBe(await together(theirs));
  });
});
