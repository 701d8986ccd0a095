import { Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class AppsCreate extends BaseCommand {
  static override operation = 'createApp';
  static override examples = [{ description: 'An app for one team', command: 'alter apps create --name billing' }];
  static override flags = {
    name: Flags.string({ required: true, description: 'Its name, unique among the apps.' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AppsCreate);
    this.printResult(await this.openAdmin(flags).post('/v1/apps', { name: flags.name }), flags);
  }
}
