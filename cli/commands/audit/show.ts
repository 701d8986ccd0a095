import { Args } from '@oclif/core';
import { readAuditPages } from '../../audit-pages.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { exitCodes, Failure, usageFailure } from '../../failure.ts';

/** Between the moment an event got its id and the one it stands in the record with lies no more than the length of a request. */
const slackMs = 24 * 3_600_000;

export default class AuditShow extends BaseCommand {
  static override operation = 'listAudit';
  static override description =
    'The audit is read back to the time that is in the id, which takes a while for an old one.';
  static override examples = [
    { description: 'With all its fields', command: 'alter audit show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override args = { event: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AuditShow);
    const id = args.event.toLowerCase();
    const wantedMs = timeOfId(id);
    const admin = this.openAdmin(flags);
    const pages = readAuditPages(admin, {
      path: `${this.appPath(flags)}/audit`,
      query: { limit: 1000, order: 'desc' },
    });
    for await (const events of pages) {
      const found = events.find((event) => event.id === id);
      if (found !== undefined) {
        this.printObject(found, flags);
        return;
      }
      if (events.some(({ time }) => typeof time === 'string' && Date.parse(time) < wantedMs - slackMs)) break;
    }
    throw new Failure({
      exit: exitCodes.notFound,
      code: 'not_found',
      detail: 'There is no such event in the audit of this app.',
      hint: '`alter audit list --output jsonl` shows the ids.',
    });
  }
}

/** Milliseconds since the epoch, of a UUIDv7. */
function timeOfId(id: string): number {
  if (!/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/.test(id))
    throw usageFailure('<event>: this is not the id of an audit event.');
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}
