import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { exitCodes, Failure } from '../../failure.ts';

export default class WebhooksTest extends BaseCommand {
  static override operation = 'testWebhook';
  static override description = 'Exits with 1 where the endpoint did not take it.';
  static override examples = [
    { description: 'By its id', command: 'alter webhooks test 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override args = { webhook: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WebhooksTest);
    const path = `${this.appPath(flags)}/webhooks/${pathPart(args.webhook, '<webhook>')}/test`;
    const result = await this.openAdmin(flags).post(path, {});
    this.printObject(result, flags);
    if (result.delivered === true) return;
    const why =
      typeof result.status === 'number' ? `answered ${result.status}` : `gave no answer: ${String(result.error)}`;
    throw new Failure({
      exit: exitCodes.error,
      code: 'webhook_not_delivered',
      detail: `The endpoint ${why}.`,
      hint: 'Check its URL, and what its own log says of the request.',
    });
  }
}
