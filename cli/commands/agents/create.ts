import { Flags } from '@oclif/core';
import { agentTypes } from '../../../core/agent.ts';
import { appFlags, BaseCommand } from '../../base-command.ts';
import { readInput } from '../../credential-intake.ts';
import { usageFailure } from '../../failure.ts';
import { givenFields } from '../../given-fields.ts';
import { parseNamedValues } from '../../named-values.ts';

export default class AgentsCreate extends BaseCommand {
  static override operation = 'createAgent';
  static override examples = [
    { description: 'One with a note', command: 'alter agents create --name crawler --metadata team=search' },
    {
      description: 'Then a key for it',
      command: 'alter keys mint --key-type agent --agent-id crawler --name crawler-1 --scopes proxy:execute',
    },
  ];
  static override flags = {
    name: Flags.string({ description: 'Its name, for good: a-z, 0-9, dot, dash and underscore.' }),
    'display-name': Flags.string({ description: 'The name for people.' }),
    type: Flags.option({ options: agentTypes, description: 'What it is; otherwise agent.' })(),
    metadata: Flags.string({
      description: 'A note on it. Can be given several times.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    input: Flags.string({
      description: 'The whole request as JSON, from a file or from standard input (-). Other flags win over it.',
      helpValue: '@FILE|-',
    }),
    ...appFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AgentsCreate);
    const admin = this.openAdmin(flags);
    const path = `${this.appPath(flags)}/agents`;
    const body = {
      ...(await readInput(flags.input)),
      ...givenFields({
        name: flags.name,
        display_name: flags['display-name'],
        type: flags.type,
        metadata: flags.metadata === undefined ? undefined : parseNamedValues(flags.metadata, '--metadata'),
      }),
    };
    if (!Object.hasOwn(body, 'name')) throw usageFailure('--name is missing.');
    this.printResult(await admin.post(path, body), flags);
  }
}
