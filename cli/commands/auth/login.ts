import { statSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { parseAccessToken } from '../../admin-client.ts';
import { adminFlags, BaseCommand, outputFlags } from '../../base-command.ts';
import { usageFailure } from '../../failure.ts';
import { readTextFile } from '../../file-argument.ts';
import { storeLogin } from '../../login-file.ts';
import { askHidden, canAsk, readLine } from '../../prompt.ts';

export default class AuthLogin extends BaseCommand {
  static override operation = 'getMe';
  static override description =
    'The token is tried first, and then kept in a file of the configuration directory that only you may read. It is sent to this admin address only. ALTER_PAT wins over it.';
  static override examples = [
    { description: 'Asks for the token, unseen', command: 'alter auth login' },
    { description: 'From a password manager', command: 'pass show alter | alter auth login --token-stdin' },
  ];
  static override takesCredential = true;
  static override flags = {
    'token-stdin': Flags.boolean({ description: 'Read the token from standard input.', exclusive: ['token-file'] }),
    'token-file': Flags.string({ description: 'Read the token from a file.', helpValue: 'FILE' }),
    ...outputFlags,
    ...adminFlags,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuthLogin);
    const token = parseAccessToken(await readToken(flags), 'The given text');
    const file = flags['token-file'];
    if (file !== undefined && isReadByOthers(file)) this.warning(`${file} can be read by others: chmod 600 ${file}`);
    const { client, url } = this.openAdminWith(flags, token);
    const me = await client.get('/v1/me');
    storeLogin({ adminUrl: url, token });
    this.note(`Signed in at ${url}.`);
    this.printResult(me, flags);
  }
}

/** Not refused, as a login is: what an orchestrator mounts has the mode that it gives. */
function isReadByOthers(file: string): boolean {
  return process.getuid !== undefined && (statSync(file).mode & 0o004) !== 0;
}

async function readToken(flags: {
  readonly 'token-stdin'?: boolean | undefined;
  readonly 'token-file'?: string | undefined;
}): Promise<string> {
  const file = flags['token-file'];
  if (file !== undefined) return readTextFile(file, '--token-file').trim();
  if (flags['token-stdin'] === true) {
    const line = await readLine(4096);
    if (line === null) throw usageFailure('--token-stdin: standard input is empty.');
    return line.trim();
  }
  if (!canAsk())
    throw usageFailure(
      '--token-stdin is missing: there is no terminal to ask at.',
      'Give --token-stdin or --token-file FILE.',
    );
  return (await askHidden('Personal access token (not shown): ')).trim();
}
