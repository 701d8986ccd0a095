import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { givenFields } from '../../../given-fields.ts';
import { parseTimeToLive } from '../../../time-to-live.ts';

export default class GrantsClone extends BaseCommand {
  static override operation = 'cloneGrant';
  static override description =
    'The new grant has the secret, the principal and the policy of the other one, and an end of its own, within what the policy allows.';
  static override examples = [
    {
      description: 'For two hours',
      command: 'alter managed-secrets grants clone 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --ttl 2h --label incident-42',
    },
  ];
  static override args = { grant: Args.string({ required: true, ignoreStdin: true, description: 'Grant id.' }) };
  static override flags = {
    ttl: Flags.string({
      description: 'How long it lasts: 90s, 5m, 2h, 30d.',
      helpValue: 'TIME',
      exclusive: ['expires-at'],
    }),
    'expires-at': Flags.string({ description: 'When it ends, ISO 8601; otherwise with the other.', helpValue: 'ISO' }),
    label: Flags.string({ description: 'A word for it; otherwise that of the other.', helpValue: 'L' }),
    description: Flags.string({ description: 'What it is for; otherwise that of the other.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsClone);
    const body = givenFields({
      ttl_seconds: flags.ttl === undefined ? undefined : parseTimeToLive(flags.ttl, '--ttl'),
      expires_at: flags['expires-at'],
      label: flags.label,
      description: flags.description,
    });
    const path = `${this.appPath(flags)}/grants/${pathPart(args.grant, '<grant>')}/clone`;
    this.printResult(await this.openAdmin(flags).post(path, body), flags);
  }
}
