import { Flags } from '@oclif/core';
import { appFlags, BaseCommand, systemFlag } from '../../base-command.ts';
import { exitCodes, Failure, usageFailure } from '../../failure.ts';
import { parseFileArgument, parseJsonObject, readTextFile } from '../../file-argument.ts';

export default class AuditVerify extends BaseCommand {
  static override operation = 'verifyAudit';
  static override description =
    'Walks the chain of every process that wrote, from its first entry or from where retention cut it to its last checkpoint and beyond, and opens every entry. With --known it also finds a store that was wholly set back to an earlier state: keep the answer somewhere else, and give it back.';
  static override examples = [
    { description: 'Keep the answer', command: 'alter audit verify > verified.json' },
    {
      description: 'Everything of that time must still be there',
      command: 'alter audit verify --known @verified.json',
    },
  ];
  static override flags = {
    known: Flags.string({ description: 'An earlier answer.', helpValue: '@FILE.json' }),
    system: systemFlag,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditVerify);
    const input = '--known';
    const earlier =
      flags.known === undefined
        ? {}
        : parseJsonObject(readTextFile(parseFileArgument(flags.known, input), input), input);
    if (flags.known !== undefined && !Array.isArray(earlier.chains))
      throw usageFailure(`${input}: this is not the answer of an earlier "alter audit verify".`);
    const isEmpty = !Array.isArray(earlier.chains) || earlier.chains.length === 0;
    const known = isEmpty ? {} : { known: earlier.chains };
    const verdict = await this.openAdmin(flags).post(`${this.auditPath(flags)}/verify`, known);
    this.printResult(verdict, flags);
    if (verdict.intact !== true)
      throw new Failure({
        exit: exitCodes.error,
        code: 'audit_broken',
        detail: 'The audit is not as it was written.',
      });
  }
}
