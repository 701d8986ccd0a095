import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class CaShow extends BaseCommand {
  static override operation = 'getAuthority';
  static override examples = [
    { description: 'Its fingerprint and end', command: 'alter ca show --fields fingerprint_sha256,not_after' },
  ];
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(CaShow);
    this.printObject(await this.openAdmin(flags).get('/v1/ca'), flags);
  }
}
