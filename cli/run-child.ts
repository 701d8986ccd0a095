import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Environment } from './environment.ts';
import { describeFailure, exitCodes, Failure, formatFailure } from './failure.ts';
import { workloadEnvironment } from './workload-environment.ts';

/** What a supervisor or a person may send. SIGKILL and SIGSTOP can't be passed on; SIGCHLD and the like are not meant for the child. */
const passedOn = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** What a terminal sends to the whole process group: the child has it already, and twice means "now, the hard way" to many. */
const fromTerminal: readonly string[] = ['SIGINT', 'SIGQUIT'];

/**
 * Runs a command with exactly this environment, on our own stdin, stdout and stderr, and passes signals on.
 *
 * Returns its exit code, or 128 + n where signal n ended it, as a shell does. Throws with exit code 127 where there is no
 * such command and 126 where it can't be executed.
 */
export function runChild(
  command: string,
  words: readonly string[],
  environment: Record<string, string>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    // Before the child is there: a signal that arrives while it starts would end us and leave it behind.
    const listeners = passedOn.map((signal) => {
      const listener = () => {
        if (!(process.stdin.isTTY && fromTerminal.includes(signal))) child.kill(signal);
      };
      process.on(signal, listener);
      return () => process.off(signal, listener);
    });
    const child = spawn(command, words, { env: environment, stdio: 'inherit' });
    const finish = () => {
      for (const remove of listeners) remove();
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      finish();
      reject(startFailure(command, error));
    });
    child.once('exit', (code, signal) => {
      finish();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/**
 * As {@link runChild}, but this process first becomes one that has the same environment as the child: any process of the same
 * user can read the variables that its parent was started with (`/proc/PPID/environ`), the operator's token among them.
 * Where a process can't replace itself (Windows), the child is run as it is.
 */
export async function runWithoutOurs(
  command: string,
  words: readonly string[],
  environment: Record<string, string>,
): Promise<number> {
  const [node, script] = process.argv;
  if (process.execve === undefined || node === undefined || script === undefined)
    return runChild(command, words, environment);
  // Through Node once more, and not the command itself: Node ignores SIGPIPE, and what it is replaced by would inherit that.
  return process.execve(
    process.execPath,
    [node, ...process.execArgv, script, '--run-prepared', command, ...words],
    environment,
  );
}

/** What {@link runWithoutOurs} becomes. Never rejects. */
export async function runPrepared(
  [command = '', ...words]: readonly string[],
  environment: Environment,
): Promise<void> {
  try {
    process.exitCode = await runChild(command, words, workloadEnvironment(environment, {}));
  } catch (error) {
    const failure = describeFailure(error);
    if (failure === null) return;
    process.exitCode = failure.exit;
    process.stderr.write(formatFailure(failure));
  }
}

function startFailure(command: string, error: NodeJS.ErrnoException): Failure {
  if (error.code === 'ENOENT')
    return new Failure({ exit: 127, code: 'command_not_found', detail: `There is no command ${command}.` });
  if (error.code === 'EACCES')
    return new Failure({ exit: 126, code: 'command_not_executable', detail: `${command} can't be executed.` });
  return new Failure({
    exit: exitCodes.error,
    code: 'command_failed',
    detail: `${command} could not be started (${error.code ?? 'error'}).`,
  });
}
