import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class AppsUnarchive extends BaseCommand {
  static override operation = 'unarchiveApp';
  static override examples = [{ description: 'With all that it had', command: 'alter apps unarchive billing' }];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsUnarchive);
    const path = `/v1/apps/${pathPart(args.app, '<app>')}/unarchive`;
    this.printResult(await this.openAdmin(flags).post(path, {}), flags);
  }
}
