import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class WorkloadIdentitiesDelete extends BaseCommand {
  static override operation = 'deleteWorkloadIdentity';
  static override description =
    'Asks to type its name. In a script --confirm gives it; where the token may not read keys, --confirm repeats the id.';
  static override examples = [
    {
      description: 'In a script',
      command: 'alter workload-identities delete 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11 --confirm team-a/checkout',
    },
  ];
  static override args = { identity: Args.string({ required: true, ignoreStdin: true, description: 'Its id.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The name, to be asked nothing.', helpValue: 'NAME' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WorkloadIdentitiesDelete);
    const admin = this.openAdmin(flags);
    const { identity } = args;
    const path = `${this.appPath(flags)}/workload-identities/${pathPart(identity, '<identity>')}`;
    const asked = { path, field: 'name', called: identity, isConfirmed: flags.confirm !== undefined } as const;
    await confirmByName({
      act: `This deletes the workload identity ${identity} for good. Its pods are refused from now on.`,
      name: await findName(admin, asked),
      given: flags.confirm ?? null,
    });
    await admin.delete(path);
    this.note(`Deleted ${identity}.`);
  }
}
