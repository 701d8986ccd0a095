import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { usageFailure } from '../../../failure.ts';

const secondsOf = { h: 3_600, d: 86_400 } as const;

export default class AuditRetentionSet extends BaseCommand {
  static override operation = 'setAuditRetention';
  static override description =
    'Older events are removed in the background, within minutes. What is removed is gone: the audit says how much it was, and is still proved whole from there on.';
  static override examples = [
    { description: 'Ninety days', command: 'alter audit retention set --max-age 90d' },
    {
      description: 'Thirty days, but nothing that was not exported',
      command: 'alter audit retention set --max-age 30d --require-export',
    },
    { description: 'Everything', command: 'alter audit retention set --keep-all' },
  ];
  static override flags = {
    'max-age': Flags.string({ description: 'Remove what is older.', helpValue: '90d|12h' }),
    'max-events': Flags.integer({ description: 'Keep about as many, the newest.', min: 1 }),
    'require-export': Flags.boolean({
      description: 'Keep what was not acknowledged by "alter audit export --acknowledge".',
    }),
    'keep-all': Flags.boolean({ description: 'Remove nothing.' }),
    inherit: Flags.boolean({ description: 'As the service is configured.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditRetentionSet);
    const { 'max-age': age, 'max-events': maxEvents } = flags;
    const requireExport = flags['require-export'] === true;
    const isLimited = age !== undefined || maxEvents !== undefined;
    const chosen = [isLimited, flags['keep-all'] === true, flags.inherit === true].filter(Boolean).length;
    if (chosen !== 1)
      throw usageFailure(
        chosen === 0 ? '--max-age or --max-events is missing.' : 'Limits, --keep-all and --inherit exclude each other.',
        'Give --max-age 90d, --max-events N or both; or --keep-all, or --inherit.',
      );
    if (requireExport && !isLimited)
      throw usageFailure(
        '--require-export goes with --max-age or --max-events.',
        'Without a limit nothing is removed.',
      );
    const body =
      flags.inherit === true
        ? { inherit: true }
        : { max_age_seconds: parseAge(age), max_events: maxEvents ?? null, require_export: requireExport };
    this.printResult(await this.openAdmin(flags).put(`${this.appPath(flags)}/audit/retention`, body), flags);
  }
}

function parseAge(text: string | undefined): number | null {
  if (text === undefined) return null;
  const match = /^(\d{1,6})(h|d)$/.exec(text);
  if (match === null) throw usageFailure(`--max-age: "${text}" is not an age.`, 'Write it as 90d or 12h.');
  return Number(match[1]) * secondsOf[match[2] as keyof typeof secondsOf];
}
