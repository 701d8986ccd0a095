import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { givenFields } from '../../given-fields.ts';

export default class GroupsCreate extends BaseCommand {
  static override operation = 'createGroup';
  static override description =
    'Groups appear by themselves with the first token that names them; one that is to be granted something before that is created.';
  static override examples = [
    {
      description: 'As its identity provider calls it',
      command:
        'alter groups create --idp-id 0190f3c2-7c1e-7a51-8a3e-1f5f0c0f9b12 --external-group-id support --name "Customer support"',
    },
  ];
  static override flags = {
    'idp-id': Flags.string({ required: true, description: 'Its identity provider, by id.', helpValue: 'UUID' }),
    'external-group-id': Flags.string({
      required: true,
      description: 'What the provider calls it, in the claim that holds groups.',
      helpValue: 'ID',
    }),
    name: Flags.string({ description: 'For people to find it by.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(GroupsCreate);
    const body = givenFields({
      idp_id: flags['idp-id'],
      external_group_id: flags['external-group-id'],
      name: flags.name,
    });
    this.printResult(await this.openAdmin(flags).post(`${this.appPath(flags)}/groups`, body), flags);
  }
}
