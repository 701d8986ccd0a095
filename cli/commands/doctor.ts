import { Flags } from '@oclif/core';
import { type AdminClient, isObject, parseAdminUrl } from '../admin-client.ts';
import { appFlag, BaseCommand, defaultAdminUrl, outputFlags } from '../base-command.ts';
import { type ClientRecipe, clientRecipes, isInstalled, tryClient } from '../doctor-clients.ts';
import { openProxy, Relay } from '../doctor-relay.ts';
import {
  askPlainly,
  type Finding,
  judgeAuthority,
  judgeClock,
  reachProxy,
  reasonOf,
  showKey,
} from '../doctor-service.ts';
import { findVariable, getEnvironment } from '../environment.ts';
import { exitCodes, Failure, usageFailure } from '../failure.ts';
import { findLogin } from '../login-file.ts';
import { workloadEnvironment } from '../workload-environment.ts';
import {
  findKey,
  parseProxyUrl,
  proxyUrlOf,
  readAuthority,
  readWorkloadVariables,
  type WorkloadChoice,
  workloadFlags,
} from '../workload-flags.ts';

const { grant: _, ...doctorFlags } = workloadFlags;

/** A name or an address, and a port where it is not 443: it goes into a CONNECT as it is. */
const hostForm = /^(?:[a-z\d.-]+|\[[a-f\d:.]+\])(?::\d{1,5})?$/i;

interface Choice extends WorkloadChoice {
  readonly app?: string | undefined;
  readonly host?: string | undefined;
  readonly 'ops-url': string;
  readonly 'admin-url'?: string | undefined;
  readonly 'insecure-http'?: boolean | undefined;
}

export default class Doctor extends BaseCommand {
  static override description =
    'Tries the admin service, the clock, the CA, the proxy and the key, and then each client on this machine through the proxy, with what `alter run` sets. The clients ask for a host that a secret allows; the proxy refuses each of these requests itself (user_token_invalid in the audit), so nothing leaves and no credential is used. Ends with 1 where something fails, and with 8 where neither the admin service nor the proxy can be reached.';
  static override examples = [
    { description: 'Everything, for people', command: 'alter doctor' },
    {
      description: 'On the machine of a workload',
      command: 'alter doctor --key-file /run/secrets/alter-key --ca ca.pem --host api.stripe.com',
    },
    { description: 'What to set for curl', command: 'alter doctor --client curl --output json' },
  ];
  static override flags = {
    ...doctorFlags,
    host: Flags.string({
      description: 'The host that clients ask for, one that a secret allows; otherwise one of those is taken.',
      helpValue: 'HOST',
    }),
    client: Flags.string({
      description: 'Only this client. Can be given several times; none tries no client.',
      options: [...clientRecipes.map(({ client }) => client), 'none'],
      multiple: true,
      multipleNonGreedy: true,
    }),
    'ops-url': Flags.string({
      description: 'Where the service tells whether it is ready.',
      helpValue: 'URL',
      default: 'http://127.0.0.1:9464',
    }),
    ...outputFlags,
    app: appFlag,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    if (flags.host !== undefined && !hostForm.test(flags.host))
      throw usageFailure(
        `--host: "${flags.host}" is not a host.`,
        'For example api.stripe.com, or api.stripe.com:8443.',
      );
    const proxyUrl = parseProxyUrl(proxyUrlOf(flags));
    const admin = await this.#findAdmin(flags);
    const findings: Finding[] = [...admin.findings, await askReadiness(flags['ops-url'])];
    const authority = await this.#findAuthority(flags, admin.client);
    findings.push(authority.finding);
    const proxy = await reachProxy(proxyUrl, authority.pem === null ? [] : [authority.pem]);
    findings.push(proxy);

    const host = flags.host ?? (admin.client === null ? null : await this.#findHost(flags, admin.client));
    const key = findKeyQuietly(flags);
    if ('finding' in key) findings.push(key.finding);
    else if (proxy.status === 'ok') {
      const authorityPems = authority.pem === null ? [] : [authority.pem];
      // Where no host is known, one to which no tunnel is opened: that is judged after the key.
      const target = host === null ? 'alter-doctor.invalid:1' : /:\d+$/.test(host) ? host : `${host}:443`;
      const shown = { proxyUrl, authorityPems, key: key.text, host: target };
      findings.push(...(await showKey(shown, host === null ? null : authority.pem)));
    }
    findings.push(...(await this.#tryClients(flags, { findings, host, proxyUrl, authorityPem: authority.pem })));
    this.#tell(findings, flags);
  }

  #tell(findings: readonly Finding[], flags: { readonly output?: 'table' | 'json' | 'jsonl' | undefined }): void {
    const failed = findings.filter(({ status }) => status === 'failed');
    this.printPage(
      { ok: failed.length === 0, items: findings },
      {
        noun: 'checks',
        columns: [{ field: 'check', keep: true }, { field: 'status', keep: true }, { field: 'detail' }],
      },
      flags,
    );
    if ((flags.output ?? 'table') === 'table')
      for (const { check, fix, status } of findings)
        if (fix !== null && status === 'failed') this.note(`${check}: ${fix}`);
    if (failed.length === 0) return;
    const isNothingThere = ['admin service', 'proxy'].every((check) => failed.some((one) => one.check === check));
    throw new Failure({
      exit: isNothingThere ? exitCodes.unreachable : exitCodes.error,
      code: isNothingThere ? 'admin_unreachable' : 'doctor_failed',
      detail: `${failed.length} of ${findings.length} checks failed: ${failed.map(({ check }) => check).join(', ')}.`,
    });
  }

  async #findAdmin(
    flags: Choice,
  ): Promise<{ readonly findings: readonly Finding[]; readonly client: AdminClient | null }> {
    const text = flags['admin-url'] ?? findVariable('ALTER_ADMIN_URL') ?? findLogin()?.adminUrl ?? defaultAdminUrl;
    const url = parseAdminUrl(text, flags['insecure-http'] === true);
    const check = 'admin service';
    const findings: Finding[] = [];
    try {
      const { date } = await askPlainly(new URL('openapi.json', url.href.endsWith('/') ? url : `${url.href}/`));
      findings.push({ check, status: 'ok', detail: `Answers at ${url.origin}.`, fix: null });
      findings.push(judgeClock(date, Date.now()));
    } catch (error) {
      const detail = `Can't be reached at ${url.origin}: ${reasonOf(error)}.`;
      const fix = 'Start it with `alter serve`, or name another with --admin-url or ALTER_ADMIN_URL.';
      // A workload's machine need not reach it; who names it, or has a token for it, wants to.
      const isWanted = flags['admin-url'] !== undefined || findVariable('ALTER_ADMIN_URL') !== null || hasToken();
      const isWorkload = !isWanted && (flags['key-file'] !== undefined || findVariable('ALTER_KEY') !== null);
      return { findings: [{ check, status: isWorkload ? 'skipped' : 'failed', detail, fix }], client: null };
    }
    if (!hasToken()) {
      const detail = 'None: ALTER_PAT is not set, and nobody is signed in.';
      return { findings: [...findings, { check: 'token', status: 'skipped', detail, fix: null }], client: null };
    }
    try {
      const client = this.openAdmin(flags);
      const { name } = await client.get('/v1/me');
      findings.push({ check: 'token', status: 'ok', detail: `${String(name)} is accepted.`, fix: null });
      return { findings, client };
    } catch (error) {
      const fix = error instanceof Failure ? error.hint : null;
      return {
        findings: [...findings, { check: 'token', status: 'failed', detail: reasonOf(error), fix }],
        client: null,
      };
    }
  }

  async #findAuthority(
    flags: Choice,
    client: AdminClient | null,
  ): Promise<{ readonly finding: Finding; readonly pem: string | null }> {
    const isGiven = flags.ca !== undefined || findVariable('ALTER_CA_FILE') !== null;
    const check = 'CA certificate';
    if (!isGiven && client === null) {
      const detail = 'None: give --ca or ALTER_CA_FILE, or sign in to fetch it.';
      return { finding: { check, status: 'skipped', detail, fix: null }, pem: null };
    }
    try {
      const pem = await readAuthority(flags, () => this.openAdmin(flags));
      const finding = judgeAuthority(pem, Date.now());
      if (!isGiven || client === null || finding.status === 'failed') return { finding, pem };
      const { certificate } = await client.get('/v1/ca');
      if (typeof certificate === 'string' && certificate.trim() !== pem.trim())
        return {
          finding: {
            check,
            status: 'failed',
            detail: 'The file holds another certificate than the service has.',
            fix: 'Write it anew: alter ca show --fields certificate, or leave --ca and ALTER_CA_FILE out.',
          },
          pem,
        };
      return { finding, pem };
    } catch (error) {
      const fix = error instanceof Failure ? error.hint : null;
      return { finding: { check, status: 'failed', detail: reasonOf(error), fix }, pem: null };
    }
  }

  /** A host that some secret of the app allows; for a wildcard one below it. Null where there is none, or no app is chosen. */
  async #findHost(flags: Choice, client: AdminClient): Promise<string | null> {
    try {
      const { items } = await client.get(`${this.appPath(flags)}/managed-secrets`, { limit: 100 });
      const hosts = (Array.isArray(items) ? items : [])
        .flatMap((item: unknown) =>
          isObject(item) && Array.isArray(item.allowed_hosts) ? item.allowed_hosts.map(String) : [],
        )
        .filter((one) => hostForm.test(one.replace(/^\*/, 'x')));
      return (
        hosts
          .sort((a, b) => Number(a.startsWith('*')) - Number(b.startsWith('*')))[0]
          ?.replace(/^\*/, 'alter-doctor') ?? null
      );
    } catch {
      return null;
    }
  }

  async #tryClients(
    flags: Choice & { readonly client?: string[] | undefined },
    of: {
      readonly findings: readonly Finding[];
      readonly host: string | null;
      readonly proxyUrl: URL;
      readonly authorityPem: string | null;
    },
  ): Promise<readonly Finding[]> {
    const { findings, host, proxyUrl, authorityPem } = of;
    const path = findVariable('PATH') ?? '';
    const wanted = clientRecipes.filter(({ client }) => flags.client === undefined || flags.client.includes(client));
    const installed = wanted.filter((recipe) => isInstalled(recipe, path));
    const isReady = findings.some(({ check, status }) => check === 'interception' && status === 'ok');
    if (!isReady || host === null || authorityPem === null)
      return installed.map(({ client, set }) => ({
        check: client,
        status: 'skipped' as const,
        detail: whyNotTried(findings, host, authorityPem),
        fix: set,
      }));
    const tried: Finding[] = [];
    for (const [index, recipe] of installed.entries()) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${recipe.client} (${index + 1} of ${installed.length})`);
      const relay = await Relay.open(() => openProxy(proxyUrl, [authorityPem]));
      try {
        const choice = { ...flags, grant: 'auto', 'proxy-url': relay.url };
        const variables = await readWorkloadVariables(choice, () => this.openAdmin(flags));
        const environment = workloadEnvironment(getEnvironment(), variables);
        const ended = await tryClient(recipe, { url: `https://${host}/`, environment });
        if (ended.kind !== 'missing')
          tried.push(judgeClient(recipe, ended, relay, { host, noProxy: environment.NO_PROXY ?? '' }));
      } finally {
        relay.close();
      }
    }
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    return tried;
  }
}

function whyNotTried(findings: readonly Finding[], host: string | null, authorityPem: string | null): string {
  if (findings.some(({ check, status }) => check === 'proxy' && status === 'failed'))
    return 'Not tried without a proxy.';
  if (!findings.some(({ check, status }) => check === 'key' && status === 'ok')) return 'Not tried without a key.';
  if (authorityPem === null) return 'Not tried without the CA certificate.';
  if (host === null) return 'Not tried: no secret allows a host yet. Name one with --host.';
  return `Not tried: the proxy does not open up connections to ${host}.`;
}

function judgeClient(
  { client, set }: ClientRecipe,
  ended: { readonly kind: 'ended'; readonly output: string } | { readonly kind: 'timeout' },
  relay: Relay,
  { host, noProxy }: { readonly host: string; readonly noProxy: string },
): Finding {
  const { arrived, showedKey, status } = relay.sighting();
  const failed = (detail: string): Finding => ({ check: client, status: 'failed', detail, fix: `Set ${set}.` });
  if (ended.kind === 'ended' && arrived && status === 200 && /\b403\b/.test(ended.output))
    return { check: client, status: 'ok', detail: 'Reaches the proxy, shows the key and trusts the CA.', fix: set };
  const last = ended.kind === 'timeout' ? 'It did not end in time.' : lastLine(ended.output);
  if (!arrived) {
    const name = host.replace(/:\d+$/, '');
    const entry = noProxy.split(',').find((one) => one === '*' || `.${name}`.endsWith(`.${one.replace(/^\./, '')}`));
    if (entry === undefined) return failed(`Does not use the proxy. ${last}`);
    return {
      ...failed(`Does not use the proxy, because NO_PROXY holds ${entry}. ${last}`),
      fix: `Take ${entry} out of NO_PROXY.`,
    };
  }
  if (!showedKey) return failed(`Does not show its key to the proxy. ${last}`);
  if (status !== 200) return failed(`The proxy answers ${status ?? 'nothing'}. ${last}`);
  return failed(`Does not get through the tunnel: does it trust the CA? ${last}`);
}

function lastLine(output: string): string {
  const line = output.trim().split('\n').at(-1) ?? '';
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function hasToken(): boolean {
  return findVariable('ALTER_PAT') !== null || findLogin() !== null;
}

function findKeyQuietly(flags: Choice): { readonly text: string } | { readonly finding: Finding } {
  const check = 'key';
  try {
    const text = findKey(flags['key-file']);
    if (text !== null) return { text };
    const detail = 'None: give --key-file or ALTER_KEY. `alter keys mint` makes one.';
    return { finding: { check, status: 'skipped', detail, fix: null } };
  } catch (error) {
    const fix = error instanceof Failure ? error.hint : null;
    return { finding: { check, status: 'failed', detail: reasonOf(error), fix } };
  }
}

async function askReadiness(text: string): Promise<Finding> {
  const check = 'readiness';
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw usageFailure(`--ops-url: "${text}" is not an http:// or https:// address.`);
  try {
    const { status, text: reasons } = await askPlainly(new URL('/readyz', url));
    if (status === 200) return { check, status: 'ok', detail: `Ready, says ${url.origin}.`, fix: null };
    return {
      check,
      status: 'failed',
      detail:
        status === 503 ? `Not ready: ${reasons.trim().split('\n').join('; ')}.` : `${url.origin} answered ${status}.`,
      fix: 'See the log of the service.',
    };
  } catch (error) {
    return { check, status: 'skipped', detail: `Not to be asked at ${url.origin}: ${reasonOf(error)}.`, fix: null };
  }
}
