import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class AppsShow extends BaseCommand {
  static override operation = 'getApp';
  static override examples = [{ description: 'By its name', command: 'alter apps show default' }];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsShow);
    this.printObject(await this.openAdmin(flags).get(`/v1/apps/${pathPart(args.app, '<app>')}`), flags);
  }
}
