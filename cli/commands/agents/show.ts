import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class AgentsShow extends BaseCommand {
  static override operation = 'getAgent';
  static override examples = [{ description: 'By its name', command: 'alter agents show crawler' }];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentsShow);
    const path = `${this.appPath(flags)}/agents/${pathPart(args.agent, '<agent>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
