import { adminFlags, BaseCommand, outputFlags, pageFlags } from '../../base-command.ts';

export default class StateShow extends BaseCommand {
  static override operation = 'listState';
  static override description =
    'An older state is one that was put back: from a snapshot, by a fail-over that lost writes, or by somebody who may write to the store. It is refused until "alter state reanchor".';
  static override examples = [{ description: 'What is refused, and why', command: 'alter state show --output json' }];
  static override flags = { ...pageFlags, ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(StateShow);
    const { limit, offset } = flags;
    const page = await this.openAdmin(flags).get('/v1/state', { limit, offset });
    this.printPage(
      page,
      {
        noun: 'apps',
        columns: [
          { field: 'app_id', header: 'APP' },
          { field: 'name' },
          { field: 'status', keep: true },
          { field: 'detail' },
        ],
      },
      flags,
    );
  }
}
