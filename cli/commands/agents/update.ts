import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { givenFields } from '../../given-fields.ts';
import { parseNamedValues } from '../../named-values.ts';

export default class AgentsUpdate extends BaseCommand {
  static override operation = 'updateAgent';
  static override examples = [
    { description: 'A name for people', command: "alter agents update crawler --display-name 'The crawler'" },
  ];
  static override args = { agent: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    'display-name': Flags.string({ description: 'The name for people; empty removes it.' }),
    metadata: Flags.string({
      description: 'A note on it, in place of all that there are. Can be given several times.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentsUpdate);
    const body = givenFields({
      display_name: flags['display-name'] === '' ? null : flags['display-name'],
      metadata: flags.metadata === undefined ? undefined : parseNamedValues(flags.metadata, '--metadata'),
    });
    if (Object.keys(body).length === 0)
      throw usageFailure('There is nothing to change.', 'Give --display-name or --metadata.');
    const path = `${this.appPath(flags)}/agents/${pathPart(args.agent, '<agent>')}`;
    this.printResult(await this.openAdmin(flags).patch(path, body), flags);
  }
}
