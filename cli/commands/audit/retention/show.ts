import { appFlags, BaseCommand } from '../../../base-command.ts';

export default class AuditRetentionShow extends BaseCommand {
  static override operation = 'getAuditRetention';
  static override examples = [
    { description: 'How much is kept, and what was removed', command: 'alter audit retention show' },
  ];
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditRetentionShow);
    this.printObject(await this.openAdmin(flags).get(`${this.appPath(flags)}/audit/retention`), flags);
  }
}
