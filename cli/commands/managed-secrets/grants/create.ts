import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { readInput } from '../../../credential-intake.ts';
import { usageFailure } from '../../../failure.ts';
import { readPolicyFile } from '../../../policy-target.ts';

export default class GrantsCreate extends BaseCommand {
  static override summary = 'Let a principal use a secret.';
  static override examples = [
    {
      description: 'For every key of the app',
      command: 'alter managed-secrets grants create stripe-live --principal-type system --label batch',
    },
    {
      description: 'Until the end of the year',
      command:
        'alter managed-secrets grants create stripe-live --principal-type system --label audit --expires-at 2026-12-31T00:00:00Z',
    },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = {
    'principal-type': Flags.option({
      options: ['system'] as const,
      description: 'Who may use it: system is every key of the app with proxy:execute.',
    })(),
    label: Flags.string({ description: 'A word for it.', helpValue: 'L' }),
    description: Flags.string({ description: 'What it is for.' }),
    'expires-at': Flags.string({ description: 'When it ends, ISO 8601.', helpValue: 'ISO' }),
    'grant-policy': Flags.string({
      description: 'The policy of the grant as JSON, from a file.',
      helpValue: '@FILE.json',
    }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/grants`;
    const body = {
      ...(await readInput(flags.input)),
      ...(flags['principal-type'] === undefined ? {} : { principal_type: flags['principal-type'] }),
      ...(flags.label === undefined ? {} : { label: flags.label }),
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags['expires-at'] === undefined ? {} : { expires_at: flags['expires-at'] }),
      ...(flags['grant-policy'] === undefined ? {} : { grant_policy: readPolicyFile(flags['grant-policy']) }),
    };
    if (!Object.hasOwn(body, 'principal_type'))
      throw usageFailure('--principal-type is missing.', 'Give --principal-type system.');
    this.printResult(await admin.post(path, body), flags);
  }
}
