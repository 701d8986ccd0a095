import { Args } from '@oclif/core';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { keyPathPart } from '../../key-reference.ts';

export default class TokensShow extends BaseCommand {
  static override operation = 'getToken';
  static override examples = [{ description: 'By its id', command: 'alter tokens show 0Vqk3Xr9TnLm2abc' }];
  static override takesCredential = true;
  static override args = {
    token: Args.string({ required: true, ignoreStdin: true, description: 'Its id, or its token_prefix.' }),
  };
  static override flags = { ...outputFlags, ...adminFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TokensShow);
    this.printObject(await this.openAdmin(flags).get(`/v1/tokens/${keyPathPart(args.token, '<token>')}`), flags);
  }
}
