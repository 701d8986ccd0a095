import { Args, Flags } from '@oclif/core';
import { isId } from '../../../core/id.ts';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmByName } from '../../confirm.ts';
import { findName } from '../../find-name.ts';

export default class AgentsRevoke extends BaseCommand {
  static override operation = 'revokeAgent';
  static override description = 'Asks to type the name. In a script --confirm gives it.';
  static override examples = [
    { description: 'Asks first', command: 'alter agents revoke crawler' },
    { description: 'In a script', command: 'alter agents revoke crawler --confirm crawler' },
  ];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    confirm: Flags.string({ description: 'The name, to be asked nothing.', helpValue: 'NAME' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentsRevoke);
    const admin = this.openAdmin(flags);
    const { agent } = args;
    const path = `${this.appPath(flags)}/agents/${pathPart(agent, '<agent>')}`;
    const asked = { path, field: 'name', called: agent, isConfirmed: flags.confirm !== undefined } as const;
    await confirmByName({
      act: `This revokes the agent ${agent} for good. All its keys and delegations are refused from now on.`,
      name: isId(agent) ? await findName(admin, asked) : agent,
      given: flags.confirm ?? null,
    });
    this.printResult(await admin.post(`${path}/revoke`, {}), flags);
  }
}
