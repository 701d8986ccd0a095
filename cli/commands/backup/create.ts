import { Flags } from '@oclif/core';
import { openBackupTarget } from '../../backup-file.ts';
import { adminFlags, BaseCommand } from '../../base-command.ts';
import { Progress } from '../../progress.ts';

export default class BackupCreate extends BaseCommand {
  static override operation = 'readBackup';
  static override description =
    'Holds every app with its secrets, grants, keys and policies, the tokens, and the authority; the audit is exported by "alter audit export". All of it stays sealed: without the root key that it was made under a backup is worth nothing, so keep that key, and keep it somewhere else.';
  static override examples = [
    { description: 'Into a file that only its owner can read', command: 'alter backup create --file alter.backup' },
    { description: 'One app', command: 'alter backup create --app shop --file shop.backup' },
  ];
  static override flags = {
    file: Flags.string({ description: 'Where it goes; - is standard output.', helpValue: 'FILE', required: true }),
    app: Flags.string({
      description: 'Only this app, by id or name: no tokens, no authority, nothing of other apps.',
      helpValue: 'APP',
    }),
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(BackupCreate);
    const admin = this.openAdmin(flags);
    const { backup_id: id, line: header } = await admin.post(
      '/v1/backups',
      flags.app === undefined ? {} : { app: flags.app },
    );
    const target = await openBackupTarget(flags.file);
    const progress = new Progress();
    try {
      await target.write(String(header));
      for (let index = 0; ; index++) {
        const { line, done, records } = await admin.get(`/v1/backups/${String(id)}/lines/${index}`);
        await target.write(String(line));
        progress.tell(`${String(records)} records`);
        if (done !== true) continue;
        await target.finish();
        progress.end();
        this.note(`The backup ${String(id)} holds ${String(records)} records.`);
        return;
      }
    } catch (error) {
      progress.end();
      await target.abandon();
      throw error;
    }
  }
}
