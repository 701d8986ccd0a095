import { Args, Flags } from '@oclif/core';
import { isId } from '../../../core/id.ts';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class AppsDelete extends BaseCommand {
  static override operation = 'deleteApp';
  static override description =
    'Everything in it is gone for good: secrets, grants, keys, agents, and its audit, which can be written to a file before with "alter audit export". Asks to type the name. In a script --confirm gives it.';
  static override examples = [
    { description: 'Asks first', command: 'alter apps delete billing' },
    { description: 'In a script', command: 'alter apps delete billing --confirm billing' },
  ];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The name, to be asked nothing.', helpValue: 'NAME' }),
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsDelete);
    const admin = this.openAdmin(flags);
    const { app } = args;
    const path = `/v1/apps/${pathPart(app, '<app>')}`;
    const given = flags.confirm ?? null;
    // Where the token may not read apps, --confirm has the name, and the service compares it.
    const asked = { path, field: 'name', called: given ?? app, isConfirmed: given !== null } as const;
    const name = isId(app) ? await findName(admin, asked) : app;
    await confirmByName({
      act: `This deletes the app ${app} for good, with all its secrets, grants and keys, and its audit.`,
      name,
      given,
    });
    await admin.delete(path, { confirm: name });
    this.note(`Deleted ${app}.`);
  }
}
