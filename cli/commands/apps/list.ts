import { adminFlags, BaseCommand, outputFlags, pageFlags } from '../../base-command.ts';

export default class AppsList extends BaseCommand {
  static override operation = 'listApps';
  static override examples = [
    { description: 'The apps that the token may see', command: 'alter apps list' },
    { description: 'Their names only', command: 'alter apps list --output jsonl --fields name' },
  ];
  static override flags = { ...pageFlags, ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(AppsList);
    const page = await this.openAdmin(flags).get('/v1/apps', { limit: flags.limit, offset: flags.offset });
    this.printPage(
      page,
      {
        noun: 'apps',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'status' },
          { field: 'egress_mode' },
          { field: 'created_at' },
        ],
      },
      flags,
    );
  }
}
