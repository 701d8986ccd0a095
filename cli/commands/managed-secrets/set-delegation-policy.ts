import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { delegationPolicyFlags } from '../../delegation-policy-flags.ts';
import { givenFields } from '../../given-fields.ts';

export default class ManagedSecretsSetDelegationPolicy extends BaseCommand {
  static override operation = 'setDelegationPolicy';
  static override description =
    'Without --allow-group-delegation, grants to groups can no longer be lent. Without --max-delegation-ttl-days, the days stay as they are.';
  static override examples = [
    {
      description: 'Members of a group may lend it, for a week',
      command:
        'alter managed-secrets set-delegation-policy stripe-live --allow-group-delegation --max-delegation-ttl-days 7',
    },
    {
      description: 'Users with a grant of their own only',
      command: 'alter managed-secrets set-delegation-policy stripe-live',
    },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = {
    ...delegationPolicyFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsSetDelegationPolicy);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/delegation-policy`;
    const body = givenFields({
      allow_group_delegation: flags['allow-group-delegation'] === true,
      max_delegation_ttl_days: flags['max-delegation-ttl-days'],
    });
    this.printResult(await this.openAdmin(flags).put(path, body), flags);
  }
}
