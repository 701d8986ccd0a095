import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class ManagedSecretsShow extends BaseCommand {
  static override operation = 'getManagedSecret';
  static override examples = [{ description: 'By its slug', command: 'alter managed-secrets show stripe-live' }];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsShow);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
