import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class GrantsExplain extends BaseCommand {
  static override operation = 'explainGrant';
  static override description =
    'Asks the same rules as the proxy, for a caller whom the grant is for. Nothing is sent, and nothing is taken from a rate.';
  static override examples = [
    {
      description: 'A request as it would be sent now',
      command:
        'alter grants explain 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --method POST --url https://api.stripe.com/v1/charges --client-ip 203.0.113.7',
    },
    {
      description: 'On a Sunday morning, the answer alone',
      command:
        'alter grants explain 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --url https://api.stripe.com/ --at 2027-01-31T03:00:00Z --fields decision,rule,hint',
    },
  ];
  static override args = {
    grant: Args.string({ required: true, ignoreStdin: true, description: 'Id of a grant or delegation.' }),
  };
  static override flags = {
    url: Flags.string({ required: true, description: 'The whole URL, as the client would send it.', helpValue: 'URL' }),
    method: Flags.string({ description: 'As the client would send it.', default: 'GET', helpValue: 'M' }),
    'client-ip': Flags.string({ description: 'Where the request would come from.', helpValue: 'IP' }),
    reason: Flags.string({ description: 'What X-Alter-Reason would say.' }),
    at: Flags.string({ description: 'When; otherwise now.', helpValue: 'ISO' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsExplain);
    const path = `${this.appPath(flags)}/grants/${pathPart(args.grant, '<grant>')}/explain`;
    const body = {
      method: flags.method,
      url: flags.url,
      ...(flags['client-ip'] === undefined ? {} : { client_ip: flags['client-ip'] }),
      ...(flags.reason === undefined ? {} : { reason: flags.reason }),
      ...(flags.at === undefined ? {} : { at: flags.at }),
    };
    this.printObject(await this.openAdmin(flags).post(path, body), flags);
  }
}
