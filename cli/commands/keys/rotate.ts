import { Flags } from '@oclif/core';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { keyFlag, keyPathPart } from '../../key-reference.ts';
import { splitList } from '../../split-list.ts';

export default class KeysRotate extends BaseCommand {
  static override operation = 'rotateKey';
  static override description =
    'The new key has the name, the networks, the rate and the end of the old one. The old one keeps working, as rotated_in_grace, until you revoke it; the proxy marks its answers with X-Alter-Key-Deprecated.';
  static override examples = [
    {
      description: 'Straight into a file',
      command: 'alter keys rotate --key 0Vqk3Xr9TnLm2abc --output jsonl --fields key',
    },
    {
      description: 'With other scopes',
      command: 'alter keys rotate --key 0Vqk3Xr9TnLm2abc --scopes proxy:execute,keys:derive',
    },
  ];
  static override flags = {
    key: keyFlag(),
    scopes: Flags.string({ description: 'What the new key may do; otherwise what the old one may.', helpValue: 'a,b' }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(KeysRotate);
    const path = `${this.appPath(flags)}/keys/${keyPathPart(flags.key)}/rotate`;
    const body = flags.scopes === undefined ? {} : { scopes: splitList([flags.scopes], '--scopes') };
    this.printResult(await this.openAdmin(flags).post(path, body), flags);
    this.note('Keep the key now: it is not shown again. Revoke the old one when nothing uses it any more.');
  }
}
