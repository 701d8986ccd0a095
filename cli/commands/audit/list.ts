import { Flags } from '@oclif/core';
import { auditFilterFlags, auditFilters } from '../../audit-filter-flags.ts';
import { appFlags, BaseCommand, systemFlag } from '../../base-command.ts';

export default class AuditList extends BaseCommand {
  static override operation = 'listAudit';
  static override examples = [
    { description: 'What was refused lately', command: 'alter audit list --decision deny' },
    {
      description: 'Every use of one secret',
      command: 'alter audit list --secret stripe-live --event request.completed',
    },
    { description: 'What failed in the last hour', command: 'alter audit list --since 1h --outcome failed' },
    { description: 'Tokens for all apps, and apps that were deleted', command: 'alter audit list --system' },
    { description: 'As lines of JSON', command: 'alter audit list --limit 500 --output jsonl' },
  ];
  static override flags = {
    limit: Flags.integer({ description: 'How many at most.', min: 1, max: 1000, default: 50 }),
    after: Flags.string({ description: 'Go on after this cursor.', helpValue: 'CURSOR' }),
    order: Flags.option({
      options: ['desc', 'asc'] as const,
      description: 'Newest or oldest first.',
      default: 'desc' as const,
    })(),
    ...auditFilterFlags,
    system: systemFlag,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditList);
    const { limit, after, order } = flags;
    const query = { limit, after, order, ...auditFilters(flags) };
    const page = await this.openAdmin(flags).get(this.auditPath(flags), query);
    this.printPage(
      page,
      {
        noun: 'audit events',
        columns: [
          { field: 'time', keep: true },
          { field: 'event' },
          { field: 'decision' },
          { field: 'code' },
          { field: 'managed_secret_slug', header: 'SECRET' },
          { field: 'method' },
          { field: 'host' },
          { field: 'path' },
          { field: 'status' },
          { field: 'key_id' },
        ],
      },
      flags,
    );
    const isTable = flags.output === undefined || flags.output === 'table';
    if (isTable && typeof page.next === 'string') this.note(`There are more: --after ${page.next}`);
  }
}
