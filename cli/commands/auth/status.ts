import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';

export default class AuthStatus extends BaseCommand {
  static override operation = 'getMe';
  static override examples = [{ description: 'Its scopes', command: 'alter auth status --fields name,scopes' }];
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuthStatus);
    this.printObject(await this.openAdmin(flags).get('/v1/me'), flags);
  }
}
