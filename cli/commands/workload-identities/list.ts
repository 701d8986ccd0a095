import { appFlags, BaseCommand, pageFlags } from '../../base-command.ts';

export default class WorkloadIdentitiesList extends BaseCommand {
  static override operation = 'listWorkloadIdentities';
  static override examples = [{ description: 'All of them', command: 'alter workload-identities list' }];
  static override flags = { ...pageFlags, ...appFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(WorkloadIdentitiesList);
    const { limit, offset } = flags;
    this.printPage(
      await this.openAdmin(flags).get(`${this.appPath(flags)}/workload-identities`, { limit, offset }),
      {
        noun: 'workload identities',
        columns: [
          { field: 'id', keep: true },
          { field: 'namespace' },
          { field: 'service_account' },
          { field: 'issuer' },
          { field: 'audience' },
          { field: 'agent_id' },
        ],
      },
      flags,
    );
  }
}
