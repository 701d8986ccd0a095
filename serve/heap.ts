import { setFlagsFromString } from 'node:v8';

/** Of what is alive. V8 chooses between 10 and 300 by how fast it collects. */
const growthPercent = 300;

/**
 * Lets garbage grow to the most that V8 would allow a fast heap, before all of it is looked at. Left to itself it allows
 * a heap as small as ours less, and then what waits in Buffers for the next small collection is enough to make nearly every
 * one of those a full one: see `docs/decisions/0019`. The limit of the whole heap stands, and V8 keeps away from it.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
