import { Flags } from '@oclif/core';
import { csvColumns, csvLine } from '../../audit-csv.ts';
import { auditFilterFlags } from '../../audit-filter-flags.ts';
import { readAuditPages } from '../../audit-pages.ts';
import { adminFlags, appFlags, BaseCommand } from '../../base-command.ts';
import { presentObject } from '../../present.ts';

export default class AuditExport extends BaseCommand {
  static override operation = 'listAudit';
  static override examples = [
    { description: 'Lines of JSON', command: 'alter audit export > audit.jsonl' },
    { description: 'For a spreadsheet', command: 'alter audit export --format csv --decision deny > denied.csv' },
  ];
  static override flags = {
    format: Flags.option({
      options: ['jsonl', 'csv'] as const,
      description: 'What is written.',
      default: 'jsonl' as const,
    })(),
    ...auditFilterFlags,
    ...adminFlags,
    app: appFlags.app,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditExport);
    const { event, host, decision, code, grant, secret, key, agent, user } = flags;
    const query = { limit: 1000, order: 'asc', event, host, decision, code, grant, secret, key, agent, user };
    const isWatched = process.stderr.isTTY === true && process.stdout.isTTY !== true;
    let count = 0;
    // Not before the service has answered: a file with nothing but names in it looks like an audit without events.
    let head = flags.format === 'csv' ? csvLine([...csvColumns]) : '';
    for await (const events of readAuditPages(this.openAdmin(flags), { path: `${this.appPath(flags)}/audit`, query })) {
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
  }
}

/** Resolves when the reader has taken it, so that a slow one does not fill our memory. */
function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
