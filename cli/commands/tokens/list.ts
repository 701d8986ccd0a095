import { Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags, pageFlags } from '../../base-command.ts';

export default class TokensList extends BaseCommand {
  static override operation = 'listTokens';
  static override examples = [
    { description: 'Those that work', command: 'alter tokens list --status active' },
    { description: 'Who holds what, a line each', command: 'alter tokens list --output jsonl --fields name,scopes' },
  ];
  static override flags = {
    status: Flags.option({
      options: ['active', 'expired', 'revoked'] as const,
      description: 'Only tokens in this state.',
    })(),
    ...pageFlags,
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(TokensList);
    const { status, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get('/v1/tokens', { status, limit, offset }),
      {
        noun: 'tokens',
        columns: [
          { field: 'id', keep: true },
          { field: 'name' },
          { field: 'scopes' },
          { field: 'app_id', header: 'APP' },
          { field: 'status' },
          { field: 'expires_at' },
        ],
      },
      flags,
    );
  }
}
