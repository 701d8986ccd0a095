import { appFlags, BaseCommand } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { webhookFields, webhookFlags } from '../../webhook-flags.ts';

export default class WebhooksCreate extends BaseCommand {
  static override operation = 'createWebhook';
  static override description = 'Prints the signing secret, this once: the receiver checks deliveries with it.';
  static override examples = [
    {
      description: 'Everything that changes who may use which secret',
      command:
        "alter webhooks create --name ops --url https://hooks.example.com/alter --event 'secret.*,grant.*,key.*,agent.*'",
    },
    {
      description: 'Every request that was refused',
      command:
        'alter webhooks create --name denials --url https://hooks.example.com/denied --event request.decided --decision deny',
    },
  ];
  static override flags = { ...webhookFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(WebhooksCreate);
    for (const name of ['name', 'url', 'event'] as const)
      if (flags[name] === undefined) throw usageFailure(`--${name} is missing.`);
    const path = `${this.appPath(flags)}/webhooks`;
    this.printResult(await this.openAdmin(flags).post(path, webhookFields(flags)), flags);
  }
}
