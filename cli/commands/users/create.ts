import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { givenFields } from '../../given-fields.ts';

export default class UsersCreate extends BaseCommand {
  static override operation = 'createUser';
  static override description =
    'Users appear by themselves with the first token of theirs; whoever is to be granted something before that is created.';
  static override examples = [
    {
      description: 'By the "sub" of their tokens',
      command:
        'alter users create --idp-id 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b12 --external-id 00u1a2b3 --email alice@example.com',
    },
  ];
  static override flags = {
    'idp-id': Flags.string({ required: true, description: 'Their identity provider, by id.', helpValue: 'UUID' }),
    'external-id': Flags.string({
      required: true,
      description: 'What the provider calls them, in the claim that names the user.',
      helpValue: 'ID',
    }),
    email: Flags.string({ description: 'For people to find them by.' }),
    name: Flags.string({ description: 'For people to find them by.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(UsersCreate);
    const { email, name } = flags;
    const body = givenFields({ idp_id: flags['idp-id'], external_id: flags['external-id'], email, name });
    this.printResult(await this.openAdmin(flags).post(`${this.appPath(flags)}/users`, body), flags);
  }
}
