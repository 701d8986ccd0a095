import { join, relative } from 'node:path';
import { echoHost } from './echo-upstream.ts';

export interface FirstSteps {
  /** Absolute. */
  readonly dataDirectory: string;
  readonly workingDirectory: string;
  /** The folder that holds the `alter` command, where it is not on the PATH by itself. */
  readonly commandDirectory: string | null;
  readonly proxyUrl: string;
  /** Null: no echo upstream is running, and the commands name a real API. */
  readonly echoPort: number | null;
}

/** The commands from a running service to a first injected request, ready to be pasted into a second terminal. */
export function firstSteps(of: FirstSteps): string {
  const file = (name: string): string => relative(of.workingDirectory, join(of.dataDirectory, name)) || name;
  const host = of.echoPort === null ? 'api.stripe.com' : `${echoHost}:${of.echoPort}`;
  const path = of.echoPort === null ? '/v1/charges' : '/hello';
  const value =
    of.echoPort === null ? 'printf %s "$STRIPE_KEY"' : "printf %s 'demo-credential-that-the-client-never-holds'";
  const [name, slug] = of.echoPort === null ? ['Stripe', 'stripe'] : ['Echo demo', 'echo-demo'];
  const onPath = of.commandDirectory === null ? '' : ` && export PATH="${of.commandDirectory}:$PATH"`;
  return `
A first request, in a second terminal:

  cd ${quote(of.workingDirectory)} && . ${quote(`./${file('operator.env')}`)}${onPath}

  # the secret goes in on standard input, and never comes out again
  ${value} | alter managed-secrets create --name '${name}' --credential-type bearer_token --credential-value -
  alter managed-secrets set-allowed-hosts ${slug} --host ${host}

  # a key for the workload
  export ALTER_KEY="$(alter keys mint --name demo --scopes proxy:execute --output jsonl --fields key | cut -d'"' -f4)"

  # any program, without a credential anywhere in it
  alter run -- curl -sS https://${host}${path}

  # the same with nothing of ours on the client's side but two variables and a header
  GRANT="$(alter managed-secrets grants list ${slug} --output jsonl --fields grant_id | cut -d'"' -f4)"
  HTTPS_PROXY="${of.proxyUrl.replace('://', '://x:$ALTER_KEY@')}" curl -sS --cacert ${quote(file('ca.pem'))} -H "X-Alter-Grant: $GRANT" https://${host}${path}

  alter audit list
`;
}

function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
