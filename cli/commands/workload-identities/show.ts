import { Args } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';

export default class WorkloadIdentitiesShow extends BaseCommand {
  static override operation = 'getWorkloadIdentity';
  static override examples = [
    { description: 'By its id', command: 'alter workload-identities show 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override args = { identity: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = { ...appFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WorkloadIdentitiesShow);
    const path = `${this.appPath(flags)}/workload-identities/${pathPart(args.identity, '<identity>')}`;
    this.printObject(await this.openAdmin(flags).get(path), flags);
  }
}
