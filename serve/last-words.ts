import type { Log } from '../telemetry/log.ts';

/** BSD's EX_SOFTWARE: a supervisor tells it from a configuration (2) and from a drain that was cut short (1). */
const softwareError = 70;

/**
 * Ends the process on an error that nobody caught, since its state is unknown then. Node would do so too, but would print
 * the error with its message, and a message may quote what was being handled: a header, a record, a credential.
 */
export function endOnSurprise(log: Log): void {
  const end = (error: unknown): void => {
    log.error('An error that nobody caught ends this process.', { error });
    process.exit(softwareError);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
