import { execFileSync } from 'node:child_process';
import { suffer } from './suffered-fault.ts';

/*
 * Run below `unshare --net`, as root: the wire between proxy and store loses every packet for a while, and then none. Prints
 * what came of it as JSON.
 */
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const outcome = await suffer(
  {
    strike: async (_, relay) => {
      const rules = [
        'add table inet lost',
        'add chain inet lost input { type filter hook input priority 0; }',
        `add rule inet lost input tcp dport ${relay.port} drop`,
        `add rule inet lost input tcp sport ${relay.port} drop`,
      ];
      execFileSync('nft', [rules.join('; ')]);
      return null;
    },
    heal: () => execFileSync('nft', ['delete', 'table', 'inet', 'lost']),
  },
  'buffered',
);
process.stdout.write(JSON.stringify(outcome), () => process.exit());
