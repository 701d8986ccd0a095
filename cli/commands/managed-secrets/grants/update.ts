import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { usageFailure } from '../../../failure.ts';
import { readPolicyFile } from '../../../policy-target.ts';

export default class GrantsUpdate extends BaseCommand {
  static override operation = 'updateGrant';
  static override examples = [
    {
      description: 'A new end',
      command:
        'alter managed-secrets grants update 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --expires-at 2027-01-01T00:00:00Z',
    },
    {
      description: 'No end',
      command: 'alter managed-secrets grants update 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --expires-at never',
    },
  ];
  static override args = { grant: Args.string({ required: true, ignoreStdin: true, description: 'Grant id.' }) };
  static override flags = {
    label: Flags.string({ description: 'A word for it.', helpValue: 'L' }),
    description: Flags.string({ description: 'What it is for; empty removes it.' }),
    'expires-at': Flags.string({ description: 'When it ends, ISO 8601, or never.', helpValue: 'ISO|never' }),
    'grant-policy': Flags.string({
      description: 'Its policy as JSON, from a file, or none.',
      helpValue: '@FILE.json|none',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsUpdate);
    const expiresAt = flags['expires-at'];
    const policy = flags['grant-policy'];
    const body = {
      ...(flags.label === undefined ? {} : { label: flags.label }),
      ...(flags.description === undefined ? {} : { description: flags.description === '' ? null : flags.description }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt === 'never' ? null : expiresAt }),
      ...(policy === undefined ? {} : { grant_policy: policy === 'none' ? null : readPolicyFile(policy) }),
    };
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Give --label, --description, --expires-at or --grant-policy.');
    const path = `${this.appPath(flags)}/grants/${pathPart(args.grant, '<grant>')}`;
    this.printResult(await this.openAdmin(flags).patch(path, body), flags);
  }
}
