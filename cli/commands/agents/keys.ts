import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class AgentsKeys extends BaseCommand {
  static override operation = 'listKeysOfAgent';
  static override examples = [{ description: 'By its name', command: 'alter agents keys crawler' }];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentsKeys);
    const path = `${this.appPath(flags)}/agents/${pathPart(args.agent, '<agent>')}/keys`;
    this.printPage(
      await this.openAdmin(flags).get(path, { limit: flags.limit, offset: flags.offset }),
      {
        noun: 'keys',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'scopes' },
          { field: 'status' },
          { field: 'expires_at' },
          { field: 'last_used_at' },
        ],
      },
      flags,
    );
  }
}
