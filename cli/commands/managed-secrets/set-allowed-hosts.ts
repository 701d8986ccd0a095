import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { splitList } from '../../split-list.ts';

export default class ManagedSecretsSetAllowedHosts extends BaseCommand {
  static override operation = 'setAllowedHosts';
  static override examples = [
    { description: 'One host', command: 'alter managed-secrets set-allowed-hosts stripe-live --host api.stripe.com' },
    {
      description: 'Several, with a wildcard and a port',
      command: "alter managed-secrets set-allowed-hosts internal --host '*.example.com,api.example.org:8443'",
    },
    {
      description: 'None: the secret goes nowhere',
      command: 'alter managed-secrets set-allowed-hosts stripe-live --clear',
    },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = {
    host: Flags.string({
      description:
        'A host, *.host for any depth below, each with an optional :port. Can be given several times, or joined by commas.',
      helpValue: 'H,…',
      multiple: true,
      multipleNonGreedy: true,
    }),
    clear: Flags.boolean({ description: 'Allow no host.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsSetAllowedHosts);
    const isCleared = flags.clear === true; // undefined where it is not given
    if (isCleared === (flags.host !== undefined))
      throw usageFailure(
        isCleared ? '--host and --clear exclude each other.' : '--host is missing.',
        'Give --host H, or --clear to allow none.',
      );
    const hosts = flags.host === undefined ? [] : splitList(flags.host, '--host');
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/allowed-hosts`;
    this.printResult(await this.openAdmin(flags).put(path, { hosts }), flags);
  }
}
