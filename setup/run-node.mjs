import { spawn } from 'node:child_process';

const passedOn = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'];
/** A terminal sends these to the child as well; to get one twice means "at once" to a server that is finishing its work. */
const fromTerminal = ['SIGINT', 'SIGQUIT'];

/**
 * npm runs a script in a shell, and a signal to npm ends that shell but nothing below it. The server would go on without
 * anybody who knows of it, on the ports that the next start needs.
 */
const npmShell = process.ppid;
const orphanCheckMs = 250;

/**
 * Runs this Node on our own stdin, stdout and stderr and passes signals on. Returns how it ended: an exit code, or the
 * name of the signal that ended it.
 *
 * @param {string} node path of the executable
 * @param {readonly string[]} words
 * @returns {Promise<number | string>}
 */
export function runNode(node, words) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, words, { stdio: 'inherit' });
    for (const signal of passedOn) {
      process.on(signal, () => {
        if (!(process.stdin.isTTY && fromTerminal.includes(signal))) child.kill(signal);
      });
    }
    const orphanCheck = setInterval(() => {
      if (process.ppid !== npmShell) child.kill('SIGTERM');
    }, orphanCheckMs);
    if (process.env.npm_lifecycle_event === undefined) clearInterval(orphanCheck);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearInterval(orphanCheck);
      for (const passed of passedOn) process.removeAllListeners(passed);
      resolve(code ?? signal);
    });
  });
}

/**
 * Ends this process as the other one ended, so that a supervisor sees no difference.
 *
 * @param {number | string} how
 */
export function endAs(how) {
  if (typeof how === 'number') process.exitCode = how;
  else process.kill(process.pid, how);
}
