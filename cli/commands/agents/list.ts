import { Flags } from '@oclif/core';
import { agentStatuses } from '../../../core/agent.ts';
import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class AgentsList extends BaseCommand {
  static override operation = 'listAgents';
  static override examples = [
    { description: 'Those that may get new keys', command: 'alter agents list --status active' },
  ];
  static override flags = {
    status: Flags.option({ options: agentStatuses, description: 'Only agents in this state.' })(),
    ...pageFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AgentsList);
    const { status, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/agents`, { status, limit, offset }),
      {
        noun: 'agents',
        columns: [
          { field: 'id', keep: true },
          { field: 'name', keep: true },
          { field: 'display_name' },
          { field: 'type' },
          { field: 'status' },
          { field: 'created_at' },
        ],
      },
      flags,
    );
  }
}
