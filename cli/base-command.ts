import { stripVTControlCharacters } from 'node:util';
import { Command, Flags, type Interfaces } from '@oclif/core';
import { AdminClient, isObject, parseAccessToken, parseAdminUrl, pathPart } from './admin-client.ts';
import { findLinkedApp } from './app-link.ts';
import { findVariable } from './environment.ts';
import { exitCodes, Failure, systemCodeOf, usageFailure } from './failure.ts';
import { findLogin } from './login-file.ts';
import {
  type FieldColumn,
  type JsonObject,
  outputFormats,
  type Presentation,
  parseFieldNames,
  presentItems,
  presentObject,
} from './present.ts';
import { printable } from './printable.ts';

export const defaultAdminUrl = 'http://127.0.0.1:4180';
const adminTimeoutMs = 30_000;

/** Of every command that prints a result. */
export const outputFlags = {
  output: Flags.option({
    options: outputFormats,
    description:
      'How results are printed: lists as a table and single objects as json, unless this says otherwise. With json and jsonl an error is one line of JSON on stderr.',
    helpGroup: 'GLOBAL',
  })(),
  fields: Flags.string({
    description: 'Only these fields, joined by commas; in a table, these columns.',
    helpGroup: 'GLOBAL',
    helpValue: 'a,b',
  }),
};

/** Of every command that speaks to the admin API. The token comes from ALTER_PAT or the login of the user, never from the directory that they stand in. */
export const adminFlags = {
  'admin-url': Flags.string({
    description: `Where the admin API is; otherwise ALTER_ADMIN_URL, otherwise ${defaultAdminUrl}.`,
    helpGroup: 'GLOBAL',
    helpValue: 'URL',
  }),
  'insecure-http': Flags.boolean({
    description: 'Allow http:// to another machine, although the token crosses the network in the clear.',
    helpGroup: 'GLOBAL',
  }),
};

export const appFlag = Flags.string({
  description: 'The app, by id or name; otherwise ALTER_APP_ID, otherwise the one that the directory is linked to.',
  helpGroup: 'GLOBAL',
  helpValue: 'APP',
});

/** Of every command that works inside one app. */
export const appFlags = { ...outputFlags, ...adminFlags, app: appFlag };

interface OutputChoice {
  readonly output?: (typeof outputFormats)[number] | undefined;
  readonly fields?: string | undefined;
}

interface AdminChoice {
  readonly 'admin-url'?: string | undefined;
  readonly 'insecure-http'?: boolean | undefined;
}

interface AppChoice extends AdminChoice {
  readonly app?: string | undefined;
}

/** Of the commands that read the audit. */
export const systemFlag = Flags.boolean({
  description: 'The audit of what belongs to no app, such as tokens for all apps and apps that were deleted.',
  exclusive: ['app'],
});

/** The flags of a list that is paged by offset. */
export const pageFlags = {
  limit: Flags.integer({ description: 'How many at most.', min: 1, max: 1000, default: 200 }),
  offset: Flags.integer({ description: 'How many to skip.', min: 0, default: 0 }),
};

export abstract class BaseCommand extends Command {
  /** The operation of the admin API, by its `operationId`, whose answer is printed: docs/cli.md has the scope and the fields from there. */
  static operation: string | null = null;
  /** True where an argument that is out of place may be a piece of a credential, and must not be quoted. */
  static takesCredential = false;

  protected override async parse<
    F extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    B extends Interfaces.OutputFlags<Interfaces.FlagInput>,
    A extends Interfaces.OutputArgs<Interfaces.ArgInput>,
  >(options?: Interfaces.Input<F, B, A>, argv?: string[]): Promise<Interfaces.ParserOutput<F, B, A>> {
    try {
      return await super.parse(options, argv);
    } catch (error) {
      throw error instanceof Error
        ? explainParseError(error, (this.ctor as typeof BaseCommand).takesCredential)
        : error;
    }
  }

  /** Errors are told in one place, by main; oclif would print some of them itself. */
  protected override async catch(error: Error): Promise<never> {
    throw error instanceof Failure ? this.#nameFlags(error) : error;
  }

  /** The service names the fields of a request; the person at the terminal gave flags. */
  #nameFlags(failure: Failure): Failure {
    if (failure.code !== 'validation_failed' || failure.problems.length === 0) return failure;
    const problems = failure.problems.map(({ field, message }) => {
      const flag = field.replace(/[.[].*$/s, '').replaceAll('_', '-');
      const rule = /^[^.[]*\.[\w.]+$/.test(field) ? field.slice(field.indexOf('.')) : ''; // of a document that a flag names
      return { field: Object.hasOwn(this.ctor.flags ?? {}, flag) ? `--${flag}${rule}` : field, message };
    });
    const detail = problems.map(({ field, message }) => `${field} ${message}`).join('; ');
    const { exit, code, requestId } = failure;
    return new Failure({ exit, code, detail, problems, requestId });
  }

  protected openAdmin(flags: AdminChoice): AdminClient {
    const own = findVariable('ALTER_PAT');
    if (own !== null) return this.openAdminWith(flags, parseAccessToken(own)).client;
    const login = findLogin();
    const asked = flags['admin-url'] ?? findVariable('ALTER_ADMIN_URL');
    const isThere = login !== null && (asked === null || normalUrl(asked) === login.adminUrl);
    if (login !== null && !isThere)
      throw new Failure({
        exit: exitCodes.notSignedIn,
        code: 'unauthenticated',
        detail: `Not signed in at ${asked}; the login is for ${login.adminUrl}.`,
        hint: 'Sign in there with `alter auth login`, or set ALTER_PAT.',
      });
    const token = parseAccessToken(login?.token ?? null, 'The login');
    return this.openAdminWith({ ...flags, 'admin-url': login?.adminUrl }, token).client;
  }

  /** With this token, and not the one of the environment. `url` as it is kept with a login. */
  protected openAdminWith(flags: AdminChoice, token: string): { readonly client: AdminClient; readonly url: string } {
    const text = flags['admin-url'] ?? findVariable('ALTER_ADMIN_URL') ?? defaultAdminUrl;
    const url = parseAdminUrl(text, flags['insecure-http'] === true);
    return { client: new AdminClient({ url, token, timeoutMs: adminTimeoutMs }), url: normalUrl(text) };
  }

  /** `/v1/apps/{app}`. Throws a usage failure where no app is chosen. */
  protected appPath(flags: AppChoice): string {
    const app = flags.app ?? findVariable('ALTER_APP_ID') ?? findLinkedApp(process.cwd());
    if (app === null)
      throw usageFailure(
        '--app is missing: no app is chosen.',
        'Name it with --app, set ALTER_APP_ID, or link the directory with `alter link APP`.',
      );
    return `/v1/apps/${pathPart(app, flags.app === undefined ? 'ALTER_APP_ID' : '--app')}`;
  }

  /** `/v1/apps/{app}/audit`, or with --system `/v1/audit`. Throws a usage failure where neither is chosen. */
  protected auditPath(flags: AppChoice & { readonly system?: boolean | undefined }): string {
    return flags.system === true ? '/v1/audit' : `${this.appPath(flags)}/audit`;
  }

  protected print(text: string): void {
    process.stdout.write(text);
  }

  /** To stderr: what a person wants to know and a pipe does not. */
  protected note(text: string): void {
    process.stderr.write(`${printable(text)}\n`);
  }

  protected warning(text: string): void {
    this.note(`Warning: ${text}`);
  }

  protected printObject(object: JsonObject, flags: OutputChoice): void {
    this.print(presentObject(object, presentation(flags, 'json')));
  }

  /**
   * What a change answered. A slip in `--fields` must not lose it: a key is shown only this once, and who sees nothing but
   * an error makes the change again.
   */
  protected printResult(object: JsonObject, flags: OutputChoice): void {
    try {
      this.printObject(object, flags);
    } catch (error) {
      this.printObject(object, { output: flags.output });
      throw error;
    }
  }

  /** One page of a list: what the API answered, with its `items`. `noun` in the plural, for an empty one. */
  protected printPage(
    page: JsonObject,
    of: { readonly noun: string; readonly columns: readonly FieldColumn[] },
    flags: OutputChoice,
  ): void {
    const items = Array.isArray(page.items) && page.items.every(isObject) ? page.items : null;
    if (items === null)
      throw new Failure({
        exit: exitCodes.error,
        code: 'admin_answer_invalid',
        detail: 'The admin service answered with something that is not a list.',
        hint: 'Check --admin-url and ALTER_ADMIN_URL.',
      });
    const how = presentation(flags, 'table');
    this.print(presentItems(page, items, of.columns, how));
    if (how.format !== 'table') return;
    if (items.length === 0) this.note(`No ${of.noun}.`);
    const { offset, total, has_more: hasMore } = page;
    if (hasMore === true && typeof offset === 'number' && typeof total === 'number')
      this.note(`${items.length} of ${total} ${of.noun}; the next ones with --offset ${offset + items.length}`);
  }
}

function normalUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href : text;
}

function presentation(flags: OutputChoice, format: 'table' | 'json'): Presentation {
  return {
    format: flags.output ?? format,
    fields: flags.fields === undefined ? null : parseFieldNames(flags.fields),
    maxWidth: process.stdout.isTTY ? (process.stdout.columns ?? null) : null,
  };
}

/** One line that names the input, in place of oclif's paragraphs. */
function explainParseError(error: Error, takesCredential: boolean): Error {
  if (error instanceof Failure || !('oclif' in error) || systemCodeOf(error) === 'EEXIT') return error;
  const hint = 'Add --help to see what the command takes.';
  if ('flags' in error && Array.isArray(error.flags)) {
    // What stands behind an = may be a credential, given with a mistyped flag.
    const names = error.flags.map((flag) => String(flag).replace(/=.*$/s, ''));
    return usageFailure(`There is no flag ${names.join(', ')}.`, hint);
  }
  if ('args' in error && Array.isArray(error.args)) {
    const isMissing = error.args.every((arg) => isObject(arg));
    if (isMissing)
      return usageFailure(`Missing: ${error.args.map((arg: { name?: string }) => `<${arg.name}>`).join(' ')}.`, hint);
    const words = takesCredential ? '(not shown: it may be part of a credential)' : error.args.join(' ');
    return usageFailure(`There is an argument too many: ${words}`, hint);
  }
  const message = stripVTControlCharacters(error.message)
    .replace(/\s*See more help with --help\s*$/, '')
    .replace(/^The following errors? occurred:\s*/, '')
    .replace(/^Parsing (--[\w-]+)\s+/, '$1: ')
    .replace(/Missing required flag ([\w-]+)/g, '--$1 is missing')
    .replace(/\s+/g, ' ')
    .trim();
  return usageFailure(message.endsWith('.') ? message : `${message}.`, hint);
}
