import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';

export default class AgentsDeprecate extends BaseCommand {
  static override operation = 'deprecateAgent';
  static override examples = [
    { description: 'Without a question, in a script', command: 'alter agents deprecate crawler --yes' },
  ];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { yes: Flags.boolean({ description: 'Do not ask.' }), ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentsDeprecate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/agents/${pathPart(args.agent, '<agent>')}/deprecate`;
    await confirmYes({ act: `The agent ${args.agent} gets no new keys or grants from now on.`, yes: flags.yes });
    this.printResult(await admin.post(path, {}), flags);
  }
}
