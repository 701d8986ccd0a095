import { appFlags, BaseCommand } from '../../base-command.ts';
import { keyFlag, keyPathPart } from '../../key-reference.ts';

export default class KeysShow extends BaseCommand {
  static override operation = 'getKey';
  static override examples = [{ description: 'By its id', command: 'alter keys show --key 0Vqk3Xr9TnLm2abc' }];
  static override flags = { key: keyFlag(), ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysShow);
    this.printObject(await this.openAdmin(flags).get(`${this.appPath(flags)}/keys/${keyPathPart(flags.key)}`), flags);
  }
}
