import { Args, Flags } from '@oclif/core';
import { isId } from '../../../core/id.ts';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class ManagedSecretsDelete extends BaseCommand {
  static override operation = 'deleteManagedSecret';
  static override description =
    'Asks to type the slug. In a script --confirm gives it; where the secret is named by its id and the token may not read secrets, --confirm repeats the id.';
  static override examples = [
    { description: 'Asks first', command: 'alter managed-secrets delete stripe-old' },
    { description: 'In a script', command: 'alter managed-secrets delete stripe-old --confirm stripe-old' },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The slug, to be asked nothing.', helpValue: 'SLUG' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsDelete);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}`;
    const { secret } = args;
    const asked = { path, field: 'slug', called: secret, isConfirmed: flags.confirm !== undefined } as const;
    const name = isId(secret) ? await findName(admin, asked) : secret;
    await confirmByName({
      act: `This deletes the secret ${args.secret}, its value and its grants for good. Whatever uses it is refused from now on.`,
      name,
      given: flags.confirm ?? null,
    });
    await admin.delete(path);
    this.note(`Deleted ${args.secret}.`);
  }
}
