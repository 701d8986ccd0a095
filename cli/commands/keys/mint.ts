import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { splitList } from '../../split-list.ts';

export default class KeysMint extends BaseCommand {
  static override operation = 'mintKey';
  static override description = 'The key itself is in the field "key" of the answer and can never be read again.';
  static override examples = [
    { description: 'A key for one service', command: 'alter keys mint --name checkout --scopes proxy:execute' },
    {
      description: 'For a fixed network, for 30 days',
      command: 'alter keys mint --name batch --scopes proxy:execute --cidr 10.2.0.0/16 --expires-in 30d',
    },
    {
      description: 'For an agent',
      command: 'alter keys mint --key-type agent --agent-id crawler --name crawler-1 --scopes proxy:execute',
    },
    {
      description: 'Straight into a file',
      command: 'alter keys mint --name ci --scopes proxy:execute --output jsonl --fields key',
    },
  ];
  static override flags = {
    name: Flags.string({ description: 'What the key is for.' }),
    scopes: Flags.string({
      description: 'What it may do, joined by commas. Workloads need proxy:execute.',
      helpValue: 'a,b',
    }),
    'key-type': Flags.option({
      options: ['runtime', 'agent'] as const,
      description: 'Kind of key; otherwise runtime.',
    })(),
    'agent-id': Flags.string({ description: 'The agent by id or name, of an agent key.', helpValue: 'UUID' }),
    cidr: Flags.string({
      description: 'Networks that it may be used from, joined by commas; otherwise any.',
      helpValue: 'CIDR,…',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'rate-limit-rpm': Flags.integer({
      description: 'Requests per minute, 1 to 100000.',
      min: 1,
      max: 100_000,
      helpValue: 'N',
    }),
    'expires-in': Flags.string({ description: 'How long it works: 30d, 12h, 5m.', helpValue: 'TIME' }),
    'expires-at': Flags.string({ description: 'When it stops working, ISO 8601.', helpValue: 'ISO' }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysMint);
    if (flags['expires-in'] !== undefined && flags['expires-at'] !== undefined)
      throw usageFailure('--expires-in and --expires-at say the same thing: give one of them.');
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/keys`;
    const body = {
      ...(await readInput(flags.input)),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.scopes === undefined ? {} : { scopes: splitList([flags.scopes], '--scopes') }),
      ...(flags['key-type'] === undefined ? {} : { key_type: flags['key-type'] }),
      ...(flags['agent-id'] === undefined ? {} : { agent_id: flags['agent-id'] }),
      ...(flags.cidr === undefined ? {} : { cidr: splitList(flags.cidr, '--cidr') }),
      ...(flags['rate-limit-rpm'] === undefined ? {} : { rate_limit_rpm: flags['rate-limit-rpm'] }),
      ...(flags['expires-in'] === undefined ? {} : { expires_in: flags['expires-in'] }),
      ...(flags['expires-at'] === undefined ? {} : { expires_at: flags['expires-at'] }),
    };
    if (!Object.hasOwn(body, 'name')) throw usageFailure('--name is missing.');
    if (!Object.hasOwn(body, 'scopes'))
      throw usageFailure('--scopes is missing.', 'Workloads need --scopes proxy:execute.');
    this.printResult(await admin.post(path, body), flags);
    this.note('Keep the key now: it is not shown again.');
  }
}
