import { writeFileSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.ts';
import { exitCodes, Failure, systemCodeOf } from '../../failure.ts';
import { formatTrustBundle, systemRoots } from '../../trust-bundle.ts';
import { authorityFlags, readAuthority } from '../../workload-flags.ts';

export default class CaBundle extends BaseCommand {
  static override operation = 'getAuthority';
  static override examples = [
    { description: 'For a container image', command: 'alter ca bundle --out /etc/ssl/alter-bundle.pem' },
    {
      description: 'Without a token, from the file that the service wrote',
      command: 'alter ca bundle --ca .alter/ca.pem',
    },
  ];
  static override flags = {
    out: Flags.string({ description: 'Write the bundle to this file instead of standard output.', helpValue: 'FILE' }),
    ...authorityFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(CaBundle);
    const bundle = formatTrustBundle(await readAuthority(flags, () => this.openAdmin(flags)), await systemRoots());
    if (flags.out === undefined) {
      this.print(bundle);
      return;
    }
    try {
      writeFileSync(flags.out, bundle, { mode: 0o644 });
    } catch (error) {
      const code = systemCodeOf(error) ?? 'error';
      throw new Failure({
        exit: exitCodes.error,
        code: 'file_unwritable',
        detail: `--out: ${flags.out} can't be written (${code}).`,
      });
    }
  }
}
