import { startStopwatch } from './stopwatch.ts';

/** Runs the work over all items, `width` at a time, and throws the first failure. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/** Asks again until the answer is true; fails after `withinMs` of our own time, which is long where no promise is tested. */
export async function eventually(question: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  const elapsedMs = startStopwatch();
  while (!(await question())) {
    if (elapsedMs() > withinMs) throw new Error(`did not become true within ${withinMs} ms: ${question.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Does it again until it succeeds: what has to be there before a test begins, with limits that a busy machine may miss. */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  let done: { readonly value: T } | null = null;
  let problem: unknown;
  await eventually(async () => {
    done = await work().then(
      (value) => ({ value }),
      (error: unknown) => {
        problem = error;
        return null;
      },
    );
    return done !== null;
  }).catch((error: Error) => {
    throw new Error(error.message, { cause: problem });
  });
  return (done as unknown as { readonly value: T }).value;
}
