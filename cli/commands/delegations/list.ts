import { Flags } from '@oclif/core';
import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

const others = (own: string): string[] => ['agent', 'user', 'grant'].filter((name) => name !== own);

export default class DelegationsList extends BaseCommand {
  static override operation = 'listDelegations';
  static override examples = [
    { description: 'To one agent', command: 'alter delegations list --agent crawler' },
    { description: 'By one user', command: 'alter delegations list --user 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b11' },
  ];
  static override flags = {
    agent: Flags.string({ description: 'Only to this agent.', helpValue: 'ID|NAME', exclusive: others('agent') }),
    user: Flags.string({ description: 'Only by this user.', helpValue: 'UUID', exclusive: others('user') }),
    grant: Flags.string({ description: 'Only of this grant.', helpValue: 'UUID', exclusive: others('grant') }),
    ...pageFlags,
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(DelegationsList);
    const { agent, user, grant, limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/delegations`, { agent, user, grant, limit, offset }),
      {
        noun: 'delegations',
        columns: [
          { field: 'id', keep: true },
          { field: 'managed_secret_slug', header: 'SECRET' },
          { field: 'agent_id', header: 'AGENT' },
          { field: 'user_id', header: 'USER' },
          { field: 'status' },
          { field: 'expires_at' },
        ],
      },
      flags,
    );
  }
}
