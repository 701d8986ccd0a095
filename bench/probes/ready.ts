import { setTimeout as sleep } from 'node:timers/promises';
import { findAlterStart } from '../peers/alter.ts';
import type { Probe } from '../probe.ts';
import { startProgram } from '../processes.ts';

const starts = 10;

export const probe: Probe = {
  name: 'ready',
  title: `From the start of the process to 200 at /readyz, on a store that is in use, ${starts} starts`,
  figure: 'ms',
  digits: 0,
  measure: async ({ directory, upstream }) => {
    const { command, cwd, env, opsPort } = await findAlterStart({ directory, upstream });
    const values: number[] = [];
    for (let i = 0; i < starts; i++) {
      const begunAt = performance.now();
      const program = startProgram(process.execPath, command, { cwd, env });
      try {
        while (!(await isReady(opsPort))) {
          if (program.ended() || performance.now() - begunAt > 30_000)
            throw new Error(`ours did not get ready: ${program.output()}`);
          await sleep(2);
        }
        values.push(performance.now() - begunAt);
      } finally {
        await program.stop();
      }
    }
    return values;
  },
};

async function isReady(opsPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${opsPort}/readyz`)).status === 200;
  } catch {
    return false;
  }
}
