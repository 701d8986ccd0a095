import { Args, Flags } from '@oclif/core';
import { readBackupLines } from '../../backup-file.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { exitCodes, Failure } from '../../failure.ts';
import { Progress } from '../../progress.ts';
import { proveBackup } from '../../prove-backup.ts';

export default class BackupRestore extends BaseCommand {
  static override operation = 'finishRestore';
  static override description =
    'Proves the whole backup first, then adds what the store does not have. What the store has stays as it is: a grant that was revoked there stays revoked, an object that was deleted there is not brought back. The kind of store does not matter, so this is also the way from SQLite to Redis. Start all services again afterwards: the tokens of the backup are valid, and its authority holds.';
  static override examples = [
    {
      description: 'Into a new store, whose admin service was started with the root key of the old one',
      command: 'alter backup restore alter.backup',
    },
  ];
  static override args = { file: Args.string({ required: true, ignoreStdin: true, description: 'The backup.' }) };
  static override flags = {
    'into-existing': Flags.boolean({ description: 'The store is in use already: add what is missing.' }),
    confirm: Flags.string({ description: 'The id of the backup, in place of the question.', helpValue: 'BACKUP_ID' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BackupRestore);
    const admin = this.openAdmin(flags);
    const progress = new Progress();
    const { restorePath, state } = await proveBackup(admin, args.file, (lines) =>
      progress.tell(`${lines} lines proved`),
    ).finally(() => progress.end());
    const { backup_id: id, app_id: appId, created_at: createdAt, apps, records, phase } = state;
    if (phase !== 'proved')
      throw new Failure({ exit: exitCodes.error, code: 'backup_invalid', detail: 'The backup is not complete.' });
    await confirmByName({
      act: `This restores ${typeof appId === 'string' ? `the app ${appId}` : `${String(apps)} apps`} with ${String(records)} records as they were at ${String(createdAt)}. What was revoked since, and is not known to this store, is valid again.`,
      name: String(id),
      given: flags.confirm ?? null,
    });
    await admin.post(`${restorePath}/begin`, { into_existing: flags['into-existing'] === true });
    let isFirst = true;
    for await (const line of readBackupLines(args.file)) {
      if (!isFirst) {
        const { restored, kept } = await admin.post(`${restorePath}/lines`, { line });
        progress.tell(`${Number(restored) + Number(kept)} of ${String(records)} records`);
      }
      isFirst = false;
    }
    progress.end();
    let done = await admin.post(`${restorePath}/finish`, {});
    while (done.phase !== 'done') done = await admin.post(`${restorePath}/finish`, {});
    const { restored, kept, skipped } = done;
    this.printResult(
      { backup_id: id, app_id: appId, created_at: createdAt, apps, records, restored, kept, skipped },
      flags,
    );
  }
}
