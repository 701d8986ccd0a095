import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { credentialFlags, readCredential, readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';

export default class ManagedSecretsRotate extends BaseCommand {
  static override operation = 'rotateManagedSecret';
  static override examples = [
    { description: 'From a file', command: 'alter managed-secrets rotate stripe-live --credential-value @new.key' },
    {
      description: 'From another command',
      command: 'pass stripe/live | alter managed-secrets rotate stripe-live --credential-value -',
    },
  ];
  static override takesCredential = true;
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = { ...credentialFlags, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsRotate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/rotate`;
    const body = { ...(await readInput(flags.input)), ...(await readCredential(flags, (text) => this.warning(text))) };
    if (!Object.hasOwn(body, 'credential_value') && !Object.hasOwn(body, 'credentials'))
      throw usageFailure(
        '--credential-value is missing: there is no new credential.',
        'Give --credential-value -, --credentials @FILE.json or --credential-field.',
      );
    this.printResult(await admin.post(path, body), flags);
  }
}
