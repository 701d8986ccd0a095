import { setTimeout as wait } from 'node:timers/promises';
import { Flags } from '@oclif/core';
import { readAuditPages } from '../../audit-pages.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
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
    const path = `${this.appPath(flags)}/audit`;
    let known: ReadonlySet<unknown> | null = null;
    for (;;) {
      const fresh: JsonObject[] = [];
      const newest = new Set<unknown>();
      let isMet = false;
      for await (const events of readAuditPages(admin, { path, query: { limit: perPage, order: 'desc' } })) {
        for (const event of events) {
          newest.add(event.id);
          if (known?.has(event.id) === true) isMet = true;
          else if (!isMet) fresh.push(event);
        }
        if (isMet || known === null) break;
      }
      const shown = known === null ? fresh.slice(0, flags.lines) : fresh;
      this.print(shown.reverse().map(line).join(''));
      if (flags.follow !== true) return;
      known = newest;
      await wait(pollMs);
    }
  }
}

function wordOf(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
