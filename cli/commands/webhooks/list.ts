import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class WebhooksList extends BaseCommand {
  static override operation = 'listWebhooks';
  static override examples = [{ description: 'All of them, and how they do', command: 'alter webhooks list' }];
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(WebhooksList);
    const { limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/webhooks`, { limit, offset }),
      {
        noun: 'webhooks',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'url' },
          { field: 'status' },
          { field: 'last_delivered_at' },
          { field: 'last_error' },
        ],
      },
      flags,
    );
  }
}
