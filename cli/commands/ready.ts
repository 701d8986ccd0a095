import { readFileSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.ts';
import { askPlainly, reasonOf } from '../doctor-service.ts';
import { findVariable } from '../environment.ts';
import { exitCodes, Failure, usageFailure } from '../failure.ts';

const patienceMs = 2_500;

export default class Ready extends BaseCommand {
  static override description =
    'Asks /readyz where ALTER_OPS_LISTEN says, without a token. Ends with 0 where the service takes requests, and with 1 where it does not, or where nothing answers within 2.5 seconds: the health check of a container, which knows no other codes.';
  static override examples = [
    { description: 'In the container or the pod of the service', command: 'alter ready' },
    { description: 'Of another process', command: 'alter ready --ops-url http://127.0.0.1:19464' },
  ];
  static override flags = {
    'ops-url': Flags.string({
      description: 'Where the service tells whether it is ready; otherwise ALTER_OPS_LISTEN, otherwise 127.0.0.1:9464.',
      helpValue: 'URL',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Ready);
    const url = parseOpsUrl(flags['ops-url']);
    let answer: Awaited<ReturnType<typeof askPlainly>>;
    try {
      answer = await askPlainly(url, patienceMs);
    } catch (error) {
      throw notReady(`Nothing answers at ${url.origin}: ${reasonOf(error, patienceMs)}.`);
    }
    if (answer.status === 503) throw notReady(`Not ready: ${answer.text.trim().split('\n').join(', ')}.`);
    if (answer.status !== 200) throw notReady(`${url.origin} answered ${answer.status} to /readyz.`);
    this.print('ready\n');
  }
}

function notReady(detail: string): Failure {
  return new Failure({ exit: exitCodes.error, code: 'not_ready', detail, hint: 'See the log of the service.' });
}

function parseOpsUrl(given: string | undefined): URL {
  const text = given ?? `http://${readListen()}`;
  const url = URL.canParse(text) ? new URL('/readyz', text) : null;
  const isWhole = given !== undefined || /:\d+$/.test(text);
  if (url !== null && isWhole && /^https?:$/.test(url.protocol)) return url;
  throw given === undefined
    ? usageFailure(`ALTER_OPS_LISTEN: "${text.slice(7)}" is not host:port.`, 'Name the service with --ops-url.')
    : usageFailure(`--ops-url: "${text}" is not an http:// or https:// address.`);
}

/** host:port to ask at: who listens on every address is asked on loopback. */
function readListen(): string {
  const path = findVariable('ALTER_OPS_LISTEN_FILE');
  const listen = findVariable('ALTER_OPS_LISTEN') ?? (path === null ? '127.0.0.1:9464' : readAddress(path));
  return listen.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}

function readAddress(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw usageFailure(`ALTER_OPS_LISTEN_FILE can't be read (${reasonOf(error)}): ${path}`);
  }
}
