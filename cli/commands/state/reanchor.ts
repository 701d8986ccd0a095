import { Flags } from '@oclif/core';
import type { AdminClient } from '../../admin-client.ts';
import { isObject } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';
import { exitCodes, Failure } from '../../failure.ts';
import type { JsonObject } from '../../present.ts';

const pageSize = 1000;

export default class StateReanchor extends BaseCommand {
  static override operation = 'reanchorState';
  static override description =
    'Proxies that saw a newer state refuse an older one; this makes all of them accept what the store has now. What was revoked, deleted or restricted after that state was saved is valid again: look into the audit file or a collector of it for "*.revoked" events, and revoke again first what matters.';
  static override examples = [
    { description: 'What would be accepted', command: 'alter state show' },
    { description: 'One app, in a script', command: 'alter state reanchor --app shop --yes' },
  ];
  static override flags = {
    app: Flags.string({
      description: 'Only this app, by id or name; otherwise all of them, and what belongs to none.',
      helpValue: 'APP',
    }),
    yes: Flags.boolean({ description: 'Do not ask.' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(StateReanchor);
    const admin = this.openAdmin(flags);
    const all = await readStates(admin);
    const chosen =
      flags.app === undefined ? all : all.filter(({ app_id, name }) => app_id === flags.app || name === flags.app);
    if (chosen.length === 0)
      throw new Failure({ exit: exitCodes.notFound, code: 'not_found', detail: 'There is no such app.' });
    const older = chosen.filter(({ status }) => status !== 'current').length;
    const whose = flags.app === undefined ? `all ${chosen.length - 1} apps` : `the app ${flags.app}`;
    await confirmYes({
      act: `The state that the store has now for ${whose} becomes the one that holds (refused at this service: ${older}). What was revoked after it was saved is valid again.`,
      yes: flags.yes,
    });
    const isWatched = process.stderr.isTTY === true;
    const items: JsonObject[] = [];
    for (const { app_id, name } of chosen) {
      const { era } = await admin.post('/v1/state/reanchor', { app_id });
      items.push({ app_id, name, era });
      if (isWatched) process.stderr.write(`\r${items.length} of ${chosen.length}`);
    }
    if (isWatched) process.stderr.write('\n');
    const page = { items, total: items.length, limit: items.length, offset: 0, has_more: false };
    this.printPage(
      page,
      { noun: 'apps', columns: [{ field: 'app_id', header: 'APP' }, { field: 'name' }, { field: 'era' }] },
      flags,
    );
  }
}

interface SpaceState {
  readonly app_id: string | null;
  readonly name: string;
  readonly status: string;
}

async function readStates(admin: AdminClient): Promise<SpaceState[]> {
  const states: SpaceState[] = [];
  for (;;) {
    const { items, has_more: hasMore } = await admin.get('/v1/state', { limit: pageSize, offset: states.length });
    for (const item of Array.isArray(items) ? items.filter(isObject) : [])
      states.push({
        app_id: typeof item.app_id === 'string' ? item.app_id : null,
        name: String(item.name),
        status: String(item.status),
      });
    if (hasMore !== true) return states;
  }
}
