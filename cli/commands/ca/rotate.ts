import { Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';
import { usageFailure } from '../../failure.ts';

export default class CaRotate extends BaseCommand {
  static override operation = 'rotateAuthority';
  static override description =
    'The new authority is in every bundle at once, and signs after the lead: in this time workloads have to read their bundle again ("alter ca bundle", or the file that a proxy writes). Afterwards the old one stays in the bundles for the grace.';
  static override examples = [
    { description: 'Signing in a day, the old one trusted for a week more', command: 'alter ca rotate --yes' },
    {
      description: 'After its key was lost to somebody: at once, and the old one trusted no more',
      command: 'alter ca rotate --now --grace 0 --yes',
    },
  ];
  static override flags = {
    lead: Flags.string({ description: 'Until the new one signs; otherwise 24h.', helpValue: 'TIME' }),
    now: Flags.boolean({ description: 'It signs at once: workloads that do not trust it yet fail until they do.' }),
    grace: Flags.string({
      description: 'How long the old one is trusted after that; otherwise 7d.',
      helpValue: 'TIME',
    }),
    yes: Flags.boolean({ description: 'Do not ask.' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(CaRotate);
    if (flags.now && flags.lead !== undefined) throw usageFailure('--now is a lead of 0: give one of them.');
    const lead = flags.now ? '0' : flags.lead;
    await confirmYes({
      act:
        lead === '0'
          ? 'Workloads that have not read the new bundle fail from now on.'
          : `Workloads have to read their bundle again within ${lead ?? '24h'}.`,
      yes: flags.yes,
    });
    const body = {
      ...(lead === undefined ? {} : { lead }),
      ...(flags.grace === undefined ? {} : { grace: flags.grace }),
    };
    this.printResult(await this.openAdmin(flags).post('/v1/ca/rotate', body), flags);
  }
}
