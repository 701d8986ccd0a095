import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { webhookFields, webhookFlags } from '../../webhook-flags.ts';

export default class WebhooksUpdate extends BaseCommand {
  static override operation = 'updateWebhook';
  static override description =
    'One that was disabled goes on where it was. A change makes a failing one be tried again at once.';
  static override examples = [
    {
      description: 'Back into use',
      command: 'alter webhooks update 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --enabled',
    },
  ];
  static override args = { webhook: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = {
    ...webhookFlags,
    enabled: Flags.boolean({ description: 'Take it into use; --no-enabled: out of use.', allowNo: true }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WebhooksUpdate);
    const enabled = flags.enabled === undefined ? {} : { enabled: flags.enabled };
    const body = { ...webhookFields(flags), ...enabled };
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Add --help to see what can be.');
    const path = `${this.appPath(flags)}/webhooks/${pathPart(args.webhook, '<webhook>')}`;
    this.printResult(await this.openAdmin(flags).patch(path, body), flags);
  }
}
