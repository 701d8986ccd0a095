import { setTimeout as wait } from 'node:timers/promises';
import { Flags } from '@oclif/core';
import { auditFilterFlags, auditFilters } from '../../audit-filter-flags.ts';
import { readAuditPages } from '../../audit-pages.ts';
import { appFlags, BaseCommand, systemFlag } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { type JsonObject, parseFieldNames, presentObject } from '../../present.ts';
import { printable } from '../../printable.ts';

const pollMs = 1_000;
const perPage = 200;
const columns = ['time', 'event', 'decision', 'code', 'managed_secret_slug', 'method', 'host', 'path', 'status'];

export default class AuditTail extends BaseCommand {
  static override operation = 'listAudit';
  static override examples = [
    { description: 'What happens now', command: 'alter audit tail -f' },
    { description: 'As lines of JSON, for jq', command: 'alter audit tail -f --output jsonl | jq .code' },
  ];
  static override flags = {
    follow: Flags.boolean({ char: 'f', description: 'Go on with what follows, until Ctrl-C.' }),
    lines: Flags.integer({ char: 'n', description: 'How many to begin with.', min: 0, max: perPage, default: 20 }),
    ...auditFilterFlags,
    system: systemFlag,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditTail);
    if (flags.output === 'json') throw usageFailure('--output json: events come a line each.', 'Use --output jsonl.');
    const fields = flags.fields === undefined ? null : parseFieldNames(flags.fields);
    const line = (event: JsonObject): string =>
      flags.output === 'jsonl'
        ? presentObject(event, { format: 'jsonl', fields, maxWidth: null })
        : `${(fields ?? columns).map((name) => wordOf(event[name])).join('  ')}\n`;
    const admin = this.openAdmin(flags);
    const path = this.auditPath(flags);
    const { cursor } = await admin.get(path, { limit: 1, order: 'desc' });
    let after = typeof cursor === 'string' ? cursor : null;
    const shown = new Set<unknown>();
    if (flags.lines > 0) {
      const query = { limit: flags.lines, order: 'desc', ...auditFilters(flags) };
      const first: JsonObject[] = [];
      for await (const events of readAuditPages(admin, { path, query })) {
        first.push(...events.slice(0, flags.lines - first.length));
        if (first.length === flags.lines) break;
      }
      for (const { id } of first) shown.add(id);
      this.print(first.toReversed().map(line).join(''));
    }
    while (flags.follow === true) {
      await wait(pollMs);
      const onTaken = (taken: string): void => {
        after = taken;
      };
      const query = { limit: perPage, order: 'asc', ...auditFilters(flags) };
      for await (const events of readAuditPages(admin, { path, query, after, onTaken })) {
        // What was written between the first two questions came with the second, and stands behind the cursor of the first.
        const fresh = events.filter(({ id }) => !shown.has(id));
        this.print(fresh.map(line).join(''));
      }
    }
  }
}

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
