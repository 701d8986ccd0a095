import { Args, Flags } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';
import { keyPathPart } from '../../key-reference.ts';

export default class TokensRevoke extends BaseCommand {
  static override operation = 'revokeToken';
  static override examples = [
    { description: 'Without a question, in a script', command: 'alter tokens revoke 0Vqk3Xr9TnLm2abc --yes' },
  ];
  static override takesCredential = true;
  static override args = {
    token: Args.string({ required: true, ignoreStdin: true, description: 'Its id, or its token_prefix.' }),
  };
  static override flags = {
    force: Flags.boolean({ description: 'Also if it is the very token that this command uses.' }),
    yes: Flags.boolean({ description: 'Do not ask.' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TokensRevoke);
    const admin = this.openAdmin(flags);
    const token = keyPathPart(args.token, '<token>');
    await confirmYes({
      act: `This stops everything that uses the token ${decodeURIComponent(token)}.`,
      yes: flags.yes,
    });
    this.printResult(await admin.post(`/v1/tokens/${token}/revoke`, flags.force ? { force: true } : {}), flags);
  }
}
