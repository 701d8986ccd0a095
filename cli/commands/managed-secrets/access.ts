import { Args } from '@oclif/core';
import { isObject, pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import type { JsonObject } from '../../present.ts';

export default class ManagedSecretsAccess extends BaseCommand {
  static override operation = 'getAccess';
  static override description =
    'In a terminal a table with a line for each path; in a pipe json, with the entries and how many paths there are of each kind. Policies may still refuse a single request.';
  static override examples = [
    { description: 'For people', command: 'alter managed-secrets access stripe-live' },
    { description: 'For jq', command: 'alter managed-secrets access stripe-live | jq .entries' },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ManagedSecretsAccess);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/access`;
    const access = await this.openAdmin(flags).get(path);
    const output = flags.output ?? (process.stdout.isTTY === true ? 'table' : 'json');
    if (output !== 'table') {
      this.printObject(access, { ...flags, output });
      return;
    }
    this.printPage(
      { items: linesOf(access.entries) },
      {
        noun: 'principals that can reach it',
        columns: [
          { field: 'principal' },
          { field: 'name' },
          { field: 'through' },
          { field: 'label' },
          { field: 'grant_id', keep: true },
          { field: 'expires_at' },
        ],
      },
      { ...flags, output },
    );
    if (access.truncated === true) this.note('There are more than are listed.');
  }
}

/** A line for each path of each principal. */
function linesOf(entries: unknown): JsonObject[] {
  return objectsIn(entries).flatMap(({ principal, paths }) => {
    const { type, id, display } = isObject(principal) ? principal : {};
    return objectsIn(paths).map(({ kind, label, grant_id: grantId, expires_at: expiresAt }) => ({
      ...{ principal: type, name: display, id, through: kind, label, grant_id: grantId, expires_at: expiresAt },
    }));
  });
}

function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
