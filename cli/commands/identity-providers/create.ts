import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { identityProviderFields, identityProviderFlags } from '../../identity-provider-flags.ts';

export default class IdentityProvidersCreate extends BaseCommand {
  static override operation = 'createIdentityProvider';
  static override examples = [
    {
      description: 'It is asked where its keys are',
      command: 'alter identity-providers create --name Okta --issuer https://example.okta.com --audience api://egress',
    },
    {
      description: 'Groups in a claim of another name',
      command:
        'alter identity-providers create --name Entra --issuer https://login.example.com/v2.0 --audience egress --groups-claim roles',
    },
  ];
  static override flags = {
    ...identityProviderFlags,
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(IdentityProvidersCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/identity-providers`;
    const body = { ...(await readInput(flags.input)), ...identityProviderFields(flags) };
    for (const name of ['name', 'issuer', 'audience'])
      if (!Object.hasOwn(body, name)) throw usageFailure(`--${name} is missing.`);
    this.printResult(await admin.post(path, body), flags);
  }
}
