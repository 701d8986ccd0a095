import { Args } from '@oclif/core';
import { pathPart } from '../admin-client.ts';
import { storeLinkedApp } from '../app-link.ts';
import { adminFlags, BaseCommand, outputFlags } from '../base-command.ts';

export default class Link extends BaseCommand {
  static override operation = 'getApp';
  static override description =
    'Writes the id of the app, and nothing else, to .alter-link.json. --app and ALTER_APP_ID still win over it.';
  static override examples = [{ description: 'Once, where the repository begins', command: 'alter link billing' }];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Link);
    const app = await this.openAdmin(flags).get(`/v1/apps/${pathPart(args.app, '<app>')}`);
    this.note(`Linked in ${storeLinkedApp(process.cwd(), String(app.id))}.`);
    this.printResult(app, flags);
  }
}
