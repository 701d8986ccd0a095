import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** For the environment of processes that tests start: with what others compiled before, each starts in half the time. */
export const compileCache = { NODE_COMPILE_CACHE: join(tmpdir(), 'alter-test-compile-cache') };
