import type { AdminClient } from './admin-client.ts';
import { notBackup, readBackupLines } from './backup-file.ts';
import type { JsonObject } from './present.ts';

/** Gives every line of the file to the service, which changes nothing and says whether it is whole. */
export async function proveBackup(
  admin: AdminClient,
  path: string,
  onLine: (lines: number) => void,
): Promise<{ readonly restorePath: string; readonly state: JsonObject }> {
  let restorePath: string | null = null;
  let state: JsonObject = {};
  let count = 0;
  for await (const line of readBackupLines(path)) {
    if (restorePath === null) {
      if (!line.startsWith('{"alter_egress_backup":')) throw notBackup(path);
      state = await admin.post('/v1/restores', { line });
      restorePath = `/v1/restores/${String(state.restore_id)}`;
    } else state = await admin.post(`${restorePath}/lines`, { line });
    onLine(++count);
  }
  if (restorePath === null) throw notBackup(path);
  return { restorePath, state };
}
