import { appFlags, BaseCommand } from '../../base-command.ts';
import { policyPath, policyTargetFlags } from '../../policy-target.ts';

export default class PolicyShow extends BaseCommand {
  static override operation = 'getPolicyOfApp';
  static override examples = [
    { description: 'Of the app', command: 'alter policy show' },
    {
      description: 'Of a secret, into a file to edit',
      command: 'alter policy show --secret stripe-live > policy.json',
    },
  ];
  static override flags = { ...policyTargetFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(PolicyShow);
    this.printObject(await this.openAdmin(flags).get(`${this.appPath(flags)}${policyPath(flags)}`), flags);
  }
}
