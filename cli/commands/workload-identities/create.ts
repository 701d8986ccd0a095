import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { givenFields } from '../../given-fields.ts';
import { splitList } from '../../split-list.ts';

export default class WorkloadIdentitiesCreate extends BaseCommand {
  static override operation = 'createWorkloadIdentity';
  static override description =
    'The token must be a projected one, for the audience in the answer and for no other. Deleting the identity ends its use at once; to change one, delete it and create another.';
  static override examples = [
    {
      description: 'A ServiceAccount of a cluster whose issuer can be asked where its keys are',
      command:
        'alter workload-identities create --issuer https://oidc.example.com/cluster --namespace team-a --service-account checkout',
    },
    {
      description: 'As an agent',
      command:
        'alter workload-identities create --issuer https://oidc.example.com/cluster --namespace agents --service-account crawler --agent-id crawler',
    },
  ];
  static override flags = {
    issuer: Flags.string({ description: "What the cluster's tokens say in iss, byte for byte.", helpValue: 'URL' }),
    namespace: Flags.string({ description: 'Namespace of the ServiceAccount.', helpValue: 'NS' }),
    'service-account': Flags.string({ description: 'Its name.', helpValue: 'NAME' }),
    'jwks-url': Flags.string({
      description: "Where the cluster's keys are; otherwise what its discovery document says.",
      helpValue: 'URL',
    }),
    name: Flags.string({ description: 'A name for people; otherwise NAMESPACE/SERVICE_ACCOUNT.' }),
    'agent-id': Flags.string({
      description: 'The agent that it is, by id or name; otherwise it is like a runtime key.',
      helpValue: 'UUID',
    }),
    cidr: Flags.string({
      description: 'Networks that it may be used from, joined by commas; otherwise any.',
      helpValue: 'CIDR,…',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'rate-limit-rpm': Flags.integer({
      description: 'Requests per minute, 1 to 100000, of all its pods together.',
      min: 1,
      max: 100_000,
      helpValue: 'N',
    }),
    algorithms: Flags.string({
      description: 'What its tokens may be signed with, joined by commas; otherwise RS256,ES256.',
      helpValue: 'A,…',
    }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(WorkloadIdentitiesCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/workload-identities`;
    const body = {
      ...(await readInput(flags.input)),
      ...givenFields({
        name: flags.name,
        issuer: flags.issuer,
        jwks_url: flags['jwks-url'],
        namespace: flags.namespace,
        service_account: flags['service-account'],
        agent_id: flags['agent-id'],
        cidr: flags.cidr === undefined ? undefined : splitList(flags.cidr, '--cidr'),
        rate_limit_rpm: flags['rate-limit-rpm'],
        algorithms: flags.algorithms === undefined ? undefined : splitList([flags.algorithms], '--algorithms'),
      }),
    };
    for (const [field, flag] of [
      ['issuer', '--issuer'],
      ['namespace', '--namespace'],
      ['service_account', '--service-account'],
    ] as const)
      if (!Object.hasOwn(body, field)) throw usageFailure(`${flag} is missing.`);
    this.printResult(await admin.post(path, body), flags);
  }
}
