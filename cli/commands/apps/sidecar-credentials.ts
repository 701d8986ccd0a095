import { Args, Flags } from '@oclif/core';
import { pathPart } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { formatSecret } from '../../kubernetes-secret.ts';
import type { JsonObject } from '../../present.ts';

const formats = ['env', 'kubernetes-secret', 'json'] as const;

export default class AppsSidecarCredentials extends BaseCommand {
  static override operation = 'issueSidecarCredentials';
  static override description =
    'The key opens everything of this app and nothing of any other; the user of the store reaches the keys of this app alone. Each run makes a new password, and those given out before end unless --keep-old is given. Needs a service on Redis.';
  static override examples = [
    {
      description: 'For a sidecar that reads an environment file',
      command: 'alter apps sidecar-credentials shop > sidecar.env',
    },
    {
      description: 'As the Secret that the sidecar in a pod mounts',
      command: 'alter apps sidecar-credentials shop --format kubernetes-secret --namespace shop | kubectl apply -f -',
    },
  ];
  static override args = { app: Args.string({ required: true, ignoreStdin: true, description: 'Id or name.' }) };
  static override flags = {
    format: Flags.option({
      options: formats,
      description: 'How they are printed: env unless this, --output or --fields says otherwise.',
    })(),
    'secret-name': Flags.string({ description: 'Name of the Secret; otherwise alter-egress-APP.', helpValue: 'NAME' }),
    namespace: Flags.string({ description: 'Namespace of the Secret.', helpValue: 'NS' }),
    'keep-old': Flags.boolean({
      description: 'Let sidecars go on with passwords that were given out before.',
    }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AppsSidecarCredentials);
    const format = flags.format ?? (flags.output === undefined && flags.fields === undefined ? 'env' : 'json');
    if (format !== 'kubernetes-secret' && (flags['secret-name'] !== undefined || flags.namespace !== undefined))
      throw usageFailure('--secret-name and --namespace go with --format kubernetes-secret.');
    const toSecret = formatSecret({
      name: flags['secret-name'] ?? `alter-egress-${args.app}`,
      namespace: flags.namespace,
    });
    if (format === 'kubernetes-secret' && toSecret === null)
      throw usageFailure(
        'The name of a Secret holds lower-case letters, digits, - and . only.',
        'Give another one with --secret-name.',
      );
    const path = `/v1/apps/${pathPart(args.app, '<app>')}/sidecar-credentials`;
    const made = await this.openAdmin(flags).post(path, { keep_old: flags['keep-old'] });
    const values = { ALTER_APP_KEY: String(made.app_key), ALTER_STORE_URL: String(made.store_url) };
    if (format === 'json') this.printResult(made, flags);
    else if (format === 'env')
      this.print(
        Object.entries(values)
          .map(([name, value]) => `${name}=${value}\n`)
          .join(''),
      );
    else this.print(toSecret!(values));
    this.#explain(made);
  }

  #explain({ store_rule: rule, store_user_made: isMade, notes }: JsonObject): void {
    this.warning('Whoever has these reads every credential of this app. They are not shown again.');
    const said = Array.isArray(notes) ? notes.map(String) : [];
    for (const note of said) this.warning(note);
    if (isMade !== true || said.length > 0) this.note(`  ${String(rule)}`);
  }
}
