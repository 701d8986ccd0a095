import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class ManagedSecretsList extends BaseCommand {
  static override operation = 'listManagedSecrets';
  static override examples = [
    { description: 'All of them', command: 'alter managed-secrets list' },
    { description: 'Slugs only, a line each', command: 'alter managed-secrets list --output jsonl --fields slug' },
  ];
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagedSecretsList);
    const query = { limit: flags.limit, offset: flags.offset };
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/managed-secrets`, query),
      {
        noun: 'managed secrets',
        columns: [
          { field: 'slug', keep: true },
          { field: 'name' },
          { field: 'credential_type', header: 'TYPE' },
          { field: 'allowed_hosts' },
          { field: 'version' },
          { field: 'updated_at' },
        ],
      },
      flags,
    );
  }
}
