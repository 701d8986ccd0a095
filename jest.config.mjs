/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  setupFilesAfterEnv: ['<rootDir>/test/support/retry-once.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest'] },
  maxWorkers: 3, // on two cores: a third of the suites waits for timers, processes and servers
  testTimeout: 120_000, // for a machine that does much else; what is promised in seconds is measured by its test
};
