import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';

export default class AppsArchive extends BaseCommand {
  static override operation = 'archiveApp';
  static override description =
    'The proxy refuses everything of the app from now on, with app_archived. Its objects can be read and ended, and nothing else; "alter apps unarchive" takes it back.';
  static override examples = [
    { description: 'Asks first', command: 'alter apps archive billing' },
    { description: 'In a script', command: 'alter apps archive billing --yes' },
  ];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    yes: Flags.boolean({ description: 'Do not ask.' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsArchive);
    const admin = this.openAdmin(flags);
    const path = `/v1/apps/${pathPart(args.app, '<app>')}/archive`;
    await confirmYes({
      act: `This takes the app ${args.app} out of use: all its workloads are refused until it is taken back.`,
      yes: flags.yes,
    });
    this.printResult(await admin.post(path, {}), flags);
  }
}
