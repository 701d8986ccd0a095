import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class RootKeyStatus extends BaseCommand {
  static override operation = 'getRootKey';
  static override examples = [
    {
      description: 'May the root key of before be taken away?',
      command: 'alter root-key status --fields previous_needed',
    },
  ];
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(RootKeyStatus);
    this.printObject(await this.openAdmin(flags).get('/v1/root-key'), flags);
  }
}
