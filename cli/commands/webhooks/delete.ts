import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class WebhooksDelete extends BaseCommand {
  static override operation = 'deleteWebhook';
  static override description =
    'Asks to type its name. In a script --confirm gives it; where the token may not read webhooks, --confirm repeats the id.';
  static override examples = [
    {
      description: 'In a script',
      command: 'alter webhooks delete 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --confirm ops',
    },
  ];
  static override args = { webhook: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The name, to be asked nothing.', helpValue: 'NAME' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WebhooksDelete);
    const admin = this.openAdmin(flags);
    const { webhook } = args;
    const path = `${this.appPath(flags)}/webhooks/${pathPart(webhook, '<webhook>')}`;
    const asked = { path, field: 'name', called: webhook, isConfirmed: flags.confirm !== undefined } as const;
    await confirmByName({
      act: `This deletes the webhook ${webhook} for good. Its endpoint is told of nothing more.`,
      name: await findName(admin, asked),
      given: flags.confirm ?? null,
    });
    await admin.delete(path);
    this.note(`Deleted ${webhook}.`);
  }
}
