import { Flags } from '@oclif/core';
import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class KeysList extends BaseCommand {
  static override operation = 'listKeys';
  static override examples = [
    { description: 'Keys that still work', command: 'alter keys list --status active' },
    { description: 'Ids only', command: 'alter keys list --output jsonl --fields id' },
  ];
  static override flags = {
    status: Flags.option({ options: ['active', 'revoked'] as const, description: 'Only keys in this state.' })(),
    ...pageFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysList);
    const { status, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/keys`, { status, limit, offset }),
      {
        noun: 'keys',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'key_type', header: 'TYPE' },
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
