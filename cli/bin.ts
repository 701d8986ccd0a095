#!/usr/bin/env node
import { nodeVersionProblem } from '../core/node-version.ts';

// Nothing else is imported before this: on an older Node the packages below fail in ways that nobody could make sense of.
const problem = nodeVersionProblem(process.versions.node);
if (problem === null) {
  const [, , first, ...words] = process.argv;
  // Not awaited: with a top-level await, a reader that closes the pipe (`alter … | head`) ends the process with code 13.
  if (first === '--run-prepared')
    void import('./run-child.ts').then(({ runPrepared }) => runPrepared(words, process.env));
  else void import('./main.ts').then(({ main }) => main(process.argv.slice(2), process.env));
} else {
  process.stderr.write(`Error: ${problem}\n`);
  process.exitCode = 1;
}
