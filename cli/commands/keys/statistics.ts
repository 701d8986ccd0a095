import { appFlags, BaseCommand } from '../../base-command.ts';

export default class KeysStatistics extends BaseCommand {
  static override operation = 'getKeyStatistics';
  static override description =
    'active and rotated_in_grace are keys that work; together there may be max_allowed of them. Derived keys are not counted.';
  static override examples = [
    { description: 'Whether old keys are still about', command: 'alter keys statistics --fields rotated_in_grace' },
  ];
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysStatistics);
    this.printObject(await this.openAdmin(flags).get(`${this.appPath(flags)}/keys/statistics`), flags);
  }
}
