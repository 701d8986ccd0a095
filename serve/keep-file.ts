import type { Log } from '../telemetry/log.ts';

const lookEveryMs = 5_000;

/** Writes the text now, which may throw, and again whenever it has changed. */
export function keepFile(of: {
  readonly text: () => string;
  readonly write: (text: string) => void;
  readonly log: Log;
}): { stop(): void } {
  let written = of.text();
  of.write(written);
  const timer = setInterval(() => {
    try {
      const text = of.text();
      if (text === written) return;
      of.write(text);
      written = text;
    } catch (error) {
      of.log.error('What workloads have to trust could not be written again.', { error });
    }
  }, lookEveryMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
