import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { exitCodes, Failure } from './failure.ts';

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
