import type { Contender } from '../contender.ts';
import { untouched } from './routes.ts';

export const direct: Contender = {
  name: 'direct',
  description: 'no proxy: what the generator and the upstream can do',
  find: () => ({ version: '' }),
  start: async ({ upstream }) => ({
    route: untouched({ upstream }),
    pids: [],
    storePids: [],
    stop: async () => {},
  }),
};
