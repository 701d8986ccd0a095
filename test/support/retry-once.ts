import { jest } from '@jest/globals';

/*
 * Where nobody watches, a test that failed is run once more, and what it failed with is printed: the machine may have been
 * busy for longer than a promise in seconds allows. On the machine of a developer a failure is a failure.
 */
if (process.env.CI !== undefined) jest.retryTimes(1, { logErrorsBeforeRetry: true });
