import { BaseCommand } from '../../base-command.ts';
import { removeLogin } from '../../login-file.ts';

export default class AuthLogout extends BaseCommand {
  static override examples = [{ description: 'At the end of the day', command: 'alter auth logout' }];

  async run(): Promise<void> {
    await this.parse(AuthLogout);
    removeLogin();
    this.note('Signed out. The token itself stays valid until it is revoked.');
  }
}
