import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { policyPath, policyTargetFlags } from '../../policy-target.ts';

export default class PolicySet extends BaseCommand {
  static override operation = 'setPolicyOfApp';
  static override examples = [
    { description: 'Of a secret, from a file', command: 'alter policy set --secret stripe-live --policy @policy.json' },
    {
      description: 'Of a grant, from standard input',
      command: `echo '{"methods":["GET"]}' | alter policy set --grant 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --policy -`,
    },
    { description: 'None for the app', command: 'alter policy set --clear' },
  ];
  static override flags = {
    policy: Flags.string({
      description: 'The document as JSON, from a file or from standard input (-).',
      helpValue: '@FILE|-',
    }),
    clear: Flags.boolean({ description: 'Take the policy away.' }),
    ...policyTargetFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(PolicySet);
    const isCleared = flags.clear === true;
    if (isCleared === (flags.policy !== undefined))
      throw usageFailure(
        isCleared ? '--policy and --clear exclude each other.' : '--policy is missing.',
        'Give --policy @FILE.json, or --clear for none.',
      );
    const document = isCleared ? {} : await readInput(flags.policy, '--policy');
    this.printResult(await this.openAdmin(flags).put(`${this.appPath(flags)}${policyPath(flags)}`, document), flags);
  }
}
