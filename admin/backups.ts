import { z } from 'zod';
import type { AccessToken } from '../core/access-token.ts';
import { AlterError } from '../core/errors.ts';
import { issueId } from '../core/id.ts';
import { maxLineLength } from '../vault/backup/backup-lines.ts';
import { BackupRestore } from '../vault/backup/restore-backup.ts';
import { BackupWriter } from '../vault/backup/write-backup.ts';
import type { Vault } from '../vault/vault.ts';
import { BackupSessions } from './background/backup-sessions.ts';
import { type Route, route } from './http/route.ts';
import { formatTime } from './schemas/representation.ts';
import { time } from './schemas/schemas.ts';

/** Below it a request may carry a line of a backup, and be larger than any other. */
export const restoresPath = '/v1/restores';
const restorePath = `${restoresPath}/{restore}`;

interface Sessions {
  readonly writing: BackupSessions<BackupWriter>;
  readonly restoring: BackupSessions<BackupRestore>;
}

/** As long as the service lives that they belong to. */
const sessions = new WeakMap<Vault, Sessions>();

/** A request may work so long on its apps; the next one goes on. */
const finishMs = 5_000;

const line = z
  .string()
  .max(maxLineLength)
  .refine((text) => text.startsWith('{') && text.endsWith('}'), 'is not a line of a backup');
const count = z.number().int();
const restoreState = z
  .strictObject({
    restore_id: z.string(),
    backup_id: z.string(),
    app_id: z.string().nullable().meta({ description: 'Of a backup of one app' }),
    created_at: time,
    phase: z.enum(['proving', 'proved', 'restoring', 'read', 'done']),
    apps: count,
    records: count.meta({ description: 'In the backup; 0 until it is proved' }),
    restored: count,
    kept: count.meta({ description: 'The store had them already, or had deleted them' }),
    skipped: count.meta({ description: 'Their name is taken by something else' }),
  })
  .meta({ id: 'Restore' });

export const backupRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/backups',
    operationId: 'beginBackup',
    summary: 'Begin a backup of everything but the audit, or of one app; its first line',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({
      app: z.string().min(1).max(256).optional().meta({ description: 'Only this app, by id or name' }),
    }),
    status: 200,
    response: z.strictObject({ backup_id: z.string(), line: z.string() }).meta({ id: 'Backup' }),
    async answer({ vault, changes, accessToken, now, readBody }) {
      requireAll(accessToken);
      const { app } = readBody();
      const appId = app === undefined ? null : (await vault.apps.get(app)).value.id;
      const writer = await changes.before({ event: 'backup.created', app_id: appId }, () =>
        BackupWriter.open(vault, now, appId),
      );
      const { header, headerLine } = writer.seal;
      sessionsOf(vault).writing.begin(header.id, { owner: accessToken.id, work: writer, now });
      return { body: { backup_id: header.id, line: headerLine } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/backups/{backup}/lines/{line}',
    operationId: 'readBackup',
    summary: 'The next line of a backup, from 0, or the last one again',
    scope: 'dashboard_apps:admin',
    status: 200,
    response: z.strictObject({ line: z.string(), done: z.boolean(), records: count }).meta({ id: 'BackupLine' }),
    async answer({ vault, params, accessToken, now }) {
      requireAll(accessToken);
      const index = /^\d{1,9}$/.test(params.line!) ? Number(params.line) : -1;
      const { writing } = sessionsOf(vault);
      return writing.with(params.backup!, { owner: accessToken.id, now }, async (writer) => {
        const given = await writer.line(index);
        return { body: { line: given.line, done: given.done, records: writer.records } };
      });
    },
  }),
  route({
    method: 'POST',
    path: restoresPath,
    operationId: 'beginRestore',
    summary: 'Begin to prove a backup, with its first line; nothing is changed',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({ line }),
    status: 200,
    response: restoreState,
    async answer({ vault, accessToken, now, readBody }) {
      requireAll(accessToken);
      const restore = await BackupRestore.open(vault, readBody().line);
      const id = issueId(now);
      sessionsOf(vault).restoring.begin(id, { owner: accessToken.id, work: restore, now });
      return { body: represent(id, restore) };
    },
  }),
  route({
    method: 'POST',
    path: `${restorePath}/lines`,
    operationId: 'readRestore',
    summary: 'The next line of the backup: to be proved, and after that, to be restored',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({ line }),
    status: 200,
    response: restoreState,
    async answer({ vault, params, accessToken, now, readBody }) {
      requireAll(accessToken);
      const id = params.restore!;
      const body = readBody();
      return sessionsOf(vault).restoring.with(id, { owner: accessToken.id, now }, async (restore) => {
        await restore.read(body.line);
        return { body: represent(id, restore) };
      });
    },
  }),
  route({
    method: 'POST',
    path: `${restorePath}/begin`,
    operationId: 'applyRestore',
    summary: 'Begin to restore the backup that was proved; its lines are then given again',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({ into_existing: z.boolean().default(false) }),
    status: 200,
    response: restoreState,
    async answer({ vault, params, changes, accessToken, now, readBody }) {
      requireAll(accessToken);
      const id = params.restore!;
      const { into_existing: intoExisting } = readBody();
      return sessionsOf(vault).restoring.with(id, { owner: accessToken.id, now }, async (restore) => {
        const { id: backupId, appId } = restore.seal.header;
        const reason = appId === null ? `backup ${backupId}` : `backup ${backupId} of the app ${appId}`;
        const event = { event: 'backup.restored', app_id: null, reason } as const;
        await changes.before(event, () => restore.begin({ intoExisting }));
        return { body: represent(id, restore) };
      });
    },
  }),
  route({
    method: 'POST',
    path: `${restorePath}/finish`,
    operationId: 'finishRestore',
    summary: 'Make what was restored the state that every proxy accepts; again until the phase is `done`',
    scope: 'dashboard_apps:admin',
    status: 200,
    response: restoreState,
    async answer({ vault, params, changes, accessToken, now }) {
      requireAll(accessToken);
      const id = params.restore!;
      const { restoring } = sessionsOf(vault);
      return restoring.with(id, { owner: accessToken.id, now }, async (restore) => {
        const done = await changes.before({ event: 'state.reanchored', app_id: null, reason: 'restore' }, () =>
          restore.finish({ now, budgetMs: finishMs }),
        );
        if (!done) return { body: represent(id, restore) };
        restoring.end(id);
        return { body: { ...represent(id, restore), phase: 'done' } };
      });
    },
  }),
];

function sessionsOf(vault: Vault): Sessions {
  const known = sessions.get(vault) ?? { writing: new BackupSessions(), restoring: new BackupSessions() };
  sessions.set(vault, known);
  return known;
}

/** A backup holds every app. */
function requireAll(accessToken: AccessToken): void {
  if (accessToken.appId !== null)
    throw new AlterError('insufficient_scope', { detail: 'The token is limited to one app, and a backup holds all.' });
}

function represent(id: string, restore: BackupRestore): z.output<typeof restoreState> {
  const { header } = restore.seal;
  return {
    restore_id: id,
    backup_id: header.id,
    app_id: header.appId,
    created_at: formatTime(header.createdAt),
    phase: restore.phase,
    apps: restore.apps,
    records: restore.records,
    ...restore.count,
  };
}
