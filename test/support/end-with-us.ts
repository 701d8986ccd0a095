import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Ends a process when the tests end, however they end. The kernel closes the pipe to the shell even after SIGKILL, and the
 * shell stands in a session of its own, so that what is sent to the group of the tests does not reach it first.
 */
export function endWithUs<Child extends ChildProcess>(child: Child): Child {
  if (child.pid === undefined) return child; // it did not start, which is told by its 'error'
  const guard = spawn('/bin/sh', ['-c', 'cat >/dev/null; kill -9 "$0"', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.unref();
  (guard.stdin as unknown as { unref(): void }).unref();
  child.once('exit', () => guard.kill('SIGKILL')); // its number may soon be another's
  return child;
}
