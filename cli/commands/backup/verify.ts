import { Args } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { exitCodes, Failure } from '../../failure.ts';
import { Progress } from '../../progress.ts';
import { proveBackup } from '../../prove-backup.ts';

export default class BackupVerify extends BaseCommand {
  static override operation = 'readRestore';
  static override description = 'The service needs the root key that the backup was made under. Nothing is changed.';
  static override examples = [
    { description: 'Every day, of the newest one', command: 'alter backup verify alter.backup' },
  ];
  static override args = { file: Args.string({ required: true, ignoreStdin: true, description: 'The backup.' }) };
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupVerify);
    const progress = new Progress();
    const { state } = await proveBackup(this.openAdmin(flags), args.file, (lines) =>
      progress.tell(`${lines} lines`),
    ).finally(() => progress.end());
    const { backup_id, app_id, created_at, apps, records, phase } = state;
    if (phase !== 'proved')
      throw new Failure({ exit: exitCodes.error, code: 'backup_invalid', detail: 'The backup is not complete.' });
    this.printResult({ backup_id, app_id, created_at, apps, records }, flags);
  }
}
