import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { keyFlag, keyPathPart } from '../../key-reference.ts';

export default class KeysRename extends BaseCommand {
  static override operation = 'renameKey';
  static override examples = [
    { description: 'By its id', command: 'alter keys rename --key 0Vqk3Xr9TnLm2abc --name checkout-eu' },
  ];
  static override flags = {
    key: keyFlag(),
    name: Flags.string({ required: true, description: 'The new name.', helpValue: 'N' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysRename);
    const path = `${this.appPath(flags)}/keys/${keyPathPart(flags.key)}`;
    this.printResult(await this.openAdmin(flags).patch(path, { name: flags.name }), flags);
  }
}
