import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { confirmYes } from '../../confirm.ts';
import { keyFlag, keyPathPart } from '../../key-reference.ts';

export default class KeysRevoke extends BaseCommand {
  static override operation = 'revokeKey';
  static override examples = [
    { description: 'Without a question, in a script', command: 'alter keys revoke --key 0Vqk3Xr9TnLm2abc --yes' },
    {
      description: 'The last key of an agent, which stands still from then on',
      command: 'alter keys revoke --key alter_ak_7Hc2Kd93MfQz1xyz --force',
    },
  ];
  static override flags = {
    key: keyFlag(),
    force: Flags.boolean({ description: 'Also if it is the only active key of an agent.' }),
    yes: Flags.boolean({ description: 'Do not ask.' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysRevoke);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/keys/${keyPathPart(flags.key)}/revoke`;
    await confirmYes({
      act: `This stops every workload that uses the key ${decodeURIComponent(keyPathPart(flags.key))}.`,
      yes: flags.yes,
    });
    this.printResult(await admin.post(path, flags.force ? { force: true } : {}), flags);
  }
}
