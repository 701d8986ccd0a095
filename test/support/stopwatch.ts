import { readFileSync } from 'node:fs';

/**
 * Starts to measure, and gives what tells the milliseconds that have passed: less those for which this thread, or one of
 * these processes, was ready to run and other work of the machine kept it from a CPU. What the product promises in
 * milliseconds holds on a machine that has time for it; a busy one must not fail the tests.
 */
export function startStopwatch(...pids: readonly number[]): () => number {
  const waited = (): number => [process.pid, ...pids].reduce((sum, pid) => sum + waitedMs(pid), 0);
  const [begunAt, before] = [performance.now(), waited()];
  return () => performance.now() - begunAt - Math.max(0, waited() - before);
}

/** How long the main thread of a process has waited for a CPU so far; 0 where the kernel does not say. */
function waitedMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** Waits for what is expected not to happen: `ms` in which this thread could have seen it. */
export async function letPass(ms: number): Promise<void> {
  const elapsedMs = startStopwatch();
  while (elapsedMs() < ms) await new Promise((resolve) => setTimeout(resolve, Math.max(1, ms - elapsedMs())));
}
