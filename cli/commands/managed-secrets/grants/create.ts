import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../../admin-client.ts';
import { appFlags, BaseCommand } from '../../../base-command.ts';
import { readInput } from '../../../credential-intake.ts';
import { usageFailure } from '../../../failure.ts';
import { givenFields } from '../../../given-fields.ts';
import { readPolicyFile } from '../../../policy-target.ts';
import { parseTimeToLive } from '../../../time-to-live.ts';

export default class GrantsCreate extends BaseCommand {
  static override operation = 'createGrant';
  static override examples = [
    {
      description: 'For every key of the app',
      command: 'alter managed-secrets grants create stripe-live --principal-type system --label batch',
    },
    {
      description: 'For one user',
      command:
        'alter managed-secrets grants create stripe-live --principal-type user --app-user-id 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --label alice',
    },
    {
      description: 'For a group, as its identity provider calls it',
      command:
        'alter managed-secrets grants create stripe-live --principal-type group --idp-id 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b12 --external-group-id support --label support',
    },
    {
      description: 'For an agent',
      command:
        'alter managed-secrets grants create stripe-live --principal-type agent --agent-id crawler --label crawler',
    },
    {
      description: 'For two hours',
      command: 'alter managed-secrets grants create stripe-live --principal-type system --label incident-42 --ttl 2h',
    },
    {
      description: 'Until the end of the year',
      command:
        'alter managed-secrets grants create stripe-live --principal-type system --label audit --expires-at 2026-12-31T00:00:00Z',
    },
  ];
  static override args = { secret: Args.string({ required: true, ignoreStdin: true, description: 'Id or slug.' }) };
  static override flags = {
    'principal-type': Flags.option({
      options: ['user', 'group', 'agent', 'system'] as const,
      description: 'Who may use it: system is every key of the app with proxy:execute.',
    })(),
    'app-user-id': Flags.string({ description: 'The user, of a grant to one.', helpValue: 'UUID' }),
    'idp-id': Flags.string({ description: 'The identity provider, of a grant to a group.', helpValue: 'UUID' }),
    'external-group-id': Flags.string({ description: 'The group as that provider calls it.', helpValue: 'ID' }),
    'agent-id': Flags.string({ description: 'The agent by id or name, of a grant to one.', helpValue: 'UUID' }),
    label: Flags.string({ description: 'A word for it.', helpValue: 'L' }),
    description: Flags.string({ description: 'What it is for.' }),
    'expires-at': Flags.string({ description: 'When it ends, ISO 8601.', helpValue: 'ISO' }),
    ttl: Flags.string({
      description: 'How long it lasts, by the clock of this machine: 90s, 5m, 2h, 30d.',
      helpValue: 'TIME',
      exclusive: ['expires-at'],
    }),
    'grant-policy': Flags.string({
      description: 'The policy of the grant as JSON, from a file.',
      helpValue: '@FILE.json',
    }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(GrantsCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/managed-secrets/${pathPart(args.secret, '<secret>')}/grants`;
    const body = {
      ...(await readInput(flags.input)),
      ...givenFields({
        principal_type: flags['principal-type'],
        app_user_id: flags['app-user-id'],
        idp_id: flags['idp-id'],
        external_group_id: flags['external-group-id'],
        agent_id: flags['agent-id'],
        label: flags.label,
        description: flags.description,
        expires_at: flags.ttl === undefined ? flags['expires-at'] : endOf(flags.ttl),
        grant_policy: flags['grant-policy'] === undefined ? undefined : readPolicyFile(flags['grant-policy']),
      }),
    };
    if (!Object.hasOwn(body, 'principal_type'))
      throw usageFailure('--principal-type is missing.', 'Give --principal-type user, group, agent or system.');
    this.printResult(await admin.post(path, body), flags);
  }
}

function endOf(ttl: string): string {
  return new Date(Date.now() + parseTimeToLive(ttl, '--ttl') * 1000).toISOString();
}
