import { Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { givenFields } from '../../given-fields.ts';
import { splitList } from '../../split-list.ts';

export default class TokensCreate extends BaseCommand {
  static override operation = 'createToken';
  static override description =
    'The token itself is in the field "token" of the answer and can never be read again. It can do no more than yours: no other scopes, no other apps, and no longer.';
  static override examples = [
    {
      description: 'For a pipeline that provisions secrets of one app, for 90 days',
      command: 'alter tokens create --name ci --scopes dashboard_secrets:write --for-app shop --expires-in 90d',
    },
    {
      description: 'Straight into a file',
      command: 'alter tokens create --name audit --scopes dashboard_audit:read --output jsonl --fields token',
    },
  ];
  static override flags = {
    name: Flags.string({ description: 'What the token is for.' }),
    scopes: Flags.string({
      description: 'What it may do, joined by commas. Write implies read, admin both, and nothing implies delete.',
      helpValue: 'a,b',
    }),
    'for-app': Flags.string({
      description: 'The only app that it may see, by id or name; otherwise all that yours may.',
      helpValue: 'APP',
    }),
    'expires-in': Flags.string({ description: 'How long it works: 30d, 12h, 5m.', helpValue: 'TIME' }),
    'expires-at': Flags.string({ description: 'When it stops working, ISO 8601.', helpValue: 'ISO' }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(TokensCreate);
    if (flags['expires-in'] !== undefined && flags['expires-at'] !== undefined)
      throw usageFailure('--expires-in and --expires-at say the same thing: give one of them.');
    const body = {
      ...(await readInput(flags.input)),
      ...givenFields({
        name: flags.name,
        scopes: flags.scopes === undefined ? undefined : splitList([flags.scopes], '--scopes'),
        app_id: flags['for-app'],
        expires_in: flags['expires-in'],
        expires_at: flags['expires-at'],
      }),
    };
    if (!Object.hasOwn(body, 'name')) throw usageFailure('--name is missing.');
    if (!Object.hasOwn(body, 'scopes'))
      throw usageFailure('--scopes is missing.', 'For a pipeline, --scopes dashboard_secrets:write may be enough.');
    this.printResult(await this.openAdmin(flags).post('/v1/tokens', body), flags);
    this.note('Keep the token now: it is not shown again.');
  }
}
