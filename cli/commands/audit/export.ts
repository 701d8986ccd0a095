import { Flags } from '@oclif/core';
import { type AdminClient, isObject } from '../../admin-client.ts';
import { csvColumns, csvLine } from '../../audit-csv.ts';
import { auditFilterFlags, auditFilters } from '../../audit-filter-flags.ts';
import { readAuditPages } from '../../audit-pages.ts';
import { adminFlags, appFlags, BaseCommand, systemFlag } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { presentObject } from '../../present.ts';

export default class AuditExport extends BaseCommand {
  static override operation = 'listAudit';
  static override examples = [
    { description: 'Lines of JSON', command: 'alter audit export > audit.jsonl' },
    { description: 'For a spreadsheet', command: 'alter audit export --format csv --decision deny > denied.csv' },
    {
      description: 'What came since the last time, from a job',
      command: 'alter audit export --acknowledge >> audit.jsonl',
    },
  ];
  static override flags = {
    format: Flags.option({
      options: ['jsonl', 'csv'] as const,
      description: 'What is written.',
      default: 'jsonl' as const,
    })(),
    acknowledge: Flags.boolean({
      description:
        'Begin after what was acknowledged before, and acknowledge what was written: retention that waits for that may remove it.',
      exclusive: ['system'],
    }),
    ...auditFilterFlags,
    system: systemFlag,
    ...adminFlags,
    app: appFlags.app,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditExport);
    const filters = auditFilters(flags);
    const isFiltered = Object.values(filters).some((value) => value !== undefined);
    if (flags.acknowledge === true && isFiltered)
      throw usageFailure(
        '--acknowledge goes with no filter: what a filter leaves out would count as exported.',
        'Export all of it, and filter the file.',
      );
    const admin = this.openAdmin(flags);
    const path = this.auditPath(flags);
    const query = { limit: 1000, order: 'asc', ...filters };
    const after = flags.acknowledge === true ? await findAcknowledged(admin, path) : null;
    let taken: string | null = null;
    const onTaken = (cursor: string): void => {
      taken = cursor;
    };
    const isWatched = process.stderr.isTTY === true && process.stdout.isTTY !== true;
    let count = 0;
    // Not before the service has answered: a file with nothing but names in it looks like an audit without events.
    let head = flags.format === 'csv' ? csvLine([...csvColumns]) : '';
    for await (const events of readAuditPages(admin, { path, query, after, onTaken })) {
      const lines = events.map((one) =>
        flags.format === 'csv'
          ? csvLine(csvColumns.map((name) => one[name]))
          : presentObject(one, { format: 'jsonl', fields: null, maxWidth: null }),
      );
      await write(head + lines.join(''));
      head = '';
      count += events.length;
      if (isWatched) process.stderr.write(`\r${count} events`);
    }
    if (isWatched) process.stderr.write('\n');
    // Only at the end: where the disk of whoever takes it is full, all of it is exported again.
    if (flags.acknowledge === true && taken !== null) await admin.post(`${path}/exported`, { cursor: taken });
  }
}

async function findAcknowledged(admin: AdminClient, path: string): Promise<string | null> {
  const { exported } = await admin.get(`${path}/retention`);
  return isObject(exported) && typeof exported.cursor === 'string' ? exported.cursor : null;
}

/** Resolves when the reader has taken it, so that a slow one does not fill our memory. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
