import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class IdentityProvidersDelete extends BaseCommand {
  static override operation = 'deleteIdentityProvider';
  static override description =
    'Asks to type its name. In a script --confirm gives it; where the token may not read identity providers, --confirm repeats the id.';
  static override examples = [
    {
      description: 'In a script',
      command: 'alter identity-providers delete 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --confirm Okta',
    },
  ];
  static override args = { idp: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The name, to be asked nothing.', helpValue: 'NAME' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(IdentityProvidersDelete);
    const admin = this.openAdmin(flags);
    const { idp } = args;
    const path = `${this.appPath(flags)}/identity-providers/${pathPart(idp, '<idp>')}`;
    const asked = { path, field: 'name', called: idp, isConfirmed: flags.confirm !== undefined } as const;
    await confirmByName({
      act: `This deletes the identity provider ${idp} for good. Its users are refused from now on, with all they lent.`,
      name: await findName(admin, asked),
      given: flags.confirm ?? null,
    });
    await admin.delete(path);
    this.note(`Deleted ${idp}.`);
  }
}
