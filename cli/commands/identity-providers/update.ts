import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { identityProviderFields, identityProviderFlags } from '../../identity-provider-flags.ts';

export default class IdentityProvidersUpdate extends BaseCommand {
  static override operation = 'updateIdentityProvider';
  static override examples = [
    {
      description: 'Another audience',
      command: 'alter identity-providers update 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --audience api://egress',
    },
  ];
  static override args = { idp: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { ...identityProviderFlags, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(IdentityProvidersUpdate);
    const body = identityProviderFields(flags);
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Add --help to see what can be.');
    const path = `${this.appPath(flags)}/identity-providers/${pathPart(args.idp, '<idp>')}`;
    this.printResult(await this.openAdmin(flags).patch(path, body), flags);
  }
}
