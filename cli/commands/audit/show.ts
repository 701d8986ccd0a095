import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand, systemFlag } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';

export default class AuditShow extends BaseCommand {
  static override operation = 'getAuditEvent';
  static override examples = [
    { description: 'With all its fields', command: 'alter audit show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override args = { event: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { system: systemFlag, ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AuditShow);
    const id = args.event.toLowerCase();
    if (!/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/.test(id))
      throw usageFailure(
        '<event>: this is not the id of an audit event.',
        '`alter audit list --output jsonl` shows the ids.',
      );
    this.printObject(await this.openAdmin(flags).get(`${this.auditPath(flags)}/${pathPart(id, '<event>')}`), flags);
  }
}
