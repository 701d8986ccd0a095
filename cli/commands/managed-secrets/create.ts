import { Flags } from '@oclif/core';
import { credentialTypes } from '../../../core/credential.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { credentialFlags, readCredential, readInput } from '../../credential-intake.ts';
import { delegationPolicyFlags } from '../../delegation-policy-flags.ts';
import { usageFailure } from '../../failure.ts';
import { parseFileArgument, parseJsonText, readTextFile } from '../../file-argument.ts';
import { givenFields } from '../../given-fields.ts';

export default class ManagedSecretsCreate extends BaseCommand {
  static override operation = 'createManagedSecret';
  static override description =
    'The value is sealed and can never be read back. The answer holds the id of the secret and, as grant_id, that of its system grant. A new secret goes nowhere until it has allowed hosts, from its template or from set-allowed-hosts.';
  static override examples = [
    {
      description: 'A bearer token from standard input (in a terminal it is asked for, unseen)',
      command: "alter managed-secrets create --name 'Stripe live' --credential-type bearer_token --credential-value -",
    },
    {
      description: 'A key in a header of its own',
      command:
        'alter managed-secrets create --name Datadog --credential-type header_key --injection-header DD-API-KEY --credential-value @dd.key',
    },
    {
      description: 'For a known provider: type, header and allowed hosts come from its template',
      command: 'alter managed-secrets create --name Stripe --template stripe --credential-value @stripe.key',
    },
    {
      description: 'User and password from a file',
      command: 'alter managed-secrets create --name Registry --credential-type basic_auth --credentials @registry.json',
    },
    {
      description: 'An AWS access key: a file with access_key_id and secret_access_key',
      command: 'alter managed-secrets create --name Uploads --credential-type aws_sig_v4 --credentials @aws.json',
    },
  ];
  static override takesCredential = true;
  static override flags = {
    name: Flags.string({ description: 'Its name; the slug is made from it.' }),
    description: Flags.string({ description: 'What it is for.' }),
    template: Flags.string({
      description: 'Fills in what you do not say yourself; "alter managed-secrets templates" lists them.',
      helpValue: 'ID',
    }),
    'credential-type': Flags.option({ options: credentialTypes, description: 'What kind of credential it is.' })(),
    ...credentialFlags,
    'injection-header': Flags.string({ description: 'The header that carries it.', helpValue: 'H' }),
    'injection-format': Flags.string({
      description: 'What the header holds, with {token} for the value.',
      helpValue: 'F',
    }),
    'injection-rule': Flags.string({
      description: 'More headers and query parameters: a JSON file with one rule, or a list of rules.',
      helpValue: '@FILE.json',
      multiple: true,
      multipleNonGreedy: true,
    }),
    label: Flags.string({ description: 'Label of the first grant; otherwise "default".', helpValue: 'L' }),
    'account-identifier': Flags.string({ description: 'The account at the provider, such as acct_1A2b.' }),
    'account-display-name': Flags.string({ description: 'The name of that account.' }),
    ...delegationPolicyFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ManagedSecretsCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/managed-secrets`;
    const rules = flags['injection-rule']?.flatMap(readRules);
    const body = {
      ...(await readInput(flags.input)),
      ...givenFields({
        name: flags.name,
        description: flags.description,
        template: flags.template,
        credential_type: flags['credential-type'],
        injection_header: flags['injection-header'],
        injection_format: flags['injection-format'],
        injection_rules: rules,
        label: flags.label,
        account_identifier: flags['account-identifier'],
        account_display_name: flags['account-display-name'],
        allow_group_delegation: flags['allow-group-delegation'],
        max_delegation_ttl_days: flags['max-delegation-ttl-days'],
      }),
      ...(await readCredential(flags, (text) => this.warning(text))),
    };
    if (!Object.hasOwn(body, 'name')) throw usageFailure('--name is missing.');
    if (!Object.hasOwn(body, 'credential_value') && !Object.hasOwn(body, 'credentials'))
      throw usageFailure(
        '--credential-value is missing: there is no credential to store.',
        'Give --credential-value -, --credentials @FILE.json or --credential-field.',
      );
    this.printResult(await admin.post(path, body), flags);
  }
}

function readRules(argument: string): unknown[] {
  const input = '--injection-rule';
  const value = parseJsonText(readTextFile(parseFileArgument(argument, input), input), input);
  return Array.isArray(value) ? value : [value];
}
