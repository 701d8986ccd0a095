import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A client that programs use, with the smallest program that asks for $URL and prints the status that it got. */
export interface ClientRecipe {
  readonly client: string;
  /** What has to be in the PATH. */
  readonly program: string;
  readonly words: readonly string[];
  /** A file that the words name, where the program takes no source on its command line. */
  readonly source?: { readonly name: string; readonly text: string };
  /** For the client alone, beside what `alter run` sets. */
  readonly variables?: Readonly<Record<string, string>>;
  /** What to set; `alter env` prints these variables. */
  readonly set: string;
  /** For compilers. */
  readonly isSlow?: true;
}

/** Ends a program that has not the module it would need: the client is not on this machine. */
const missingModule = 42;

const python = (client: string, module: string, code: readonly string[], set: string): ClientRecipe => ({
  client,
  program: 'python3',
  words: [
    '-c',
    [
      'import os, sys',
      `try: import ${module}`,
      `except ImportError: sys.exit(${missingModule})`,
      "url = os.environ['URL']",
      ...code,
    ].join('\n'),
  ],
  set,
});

const awsVariables = {
  AWS_ACCESS_KEY_ID: 'unused',
  AWS_SECRET_ACCESS_KEY: 'unused',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_MAX_ATTEMPTS: '1',
};

const javaSource = `import java.net.*;
import java.net.http.*;
public class Doctor {
  public static void main(String[] arguments) throws Exception {
    URI proxy = URI.create(System.getenv("HTTPS_PROXY"));
    String[] login = proxy.getRawUserInfo().split(":", 2);
    HttpClient client = HttpClient.newBuilder()
        .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
        .authenticator(new Authenticator() {
          protected PasswordAuthentication getPasswordAuthentication() {
            return new PasswordAuthentication(login[0], login[1].toCharArray());
          }
        }).build();
    HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("URL"))).build();
    System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
  }
}
`;

const goSource = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	response, err := http.Get(os.Getenv("URL"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(response.StatusCode)
}
`;

/** In the order of docs/clients.md, which says more on each. */
export const clientRecipes: readonly ClientRecipe[] = [
  {
    client: 'curl',
    program: 'curl',
    words: ['-sS', '-o', '/dev/null', '-w', '%{http_code}\n', '$URL'],
    set: 'HTTPS_PROXY, CURL_CA_BUNDLE',
  },
  {
    client: 'wget',
    program: 'wget',
    words: ['-q', '-S', '-O', '/dev/null', '--tries=1', '--ca-certificate=$SSL_CERT_FILE', '$URL'],
    set: 'https_proxy, and --ca-certificate="$SSL_CERT_FILE"',
  },
  {
    client: 'git',
    program: 'git',
    words: ['ls-remote', '$URL'],
    variables: { GIT_TERMINAL_PROMPT: '0' },
    set: 'HTTPS_PROXY, GIT_SSL_CAINFO',
  },
  python(
    'Python urllib',
    'urllib.request, urllib.error',
    ['try: print(urllib.request.urlopen(url).status)', 'except urllib.error.HTTPError as error: print(error.status)'],
    'https_proxy, SSL_CERT_FILE',
  ),
  python('Python requests', 'requests', ['print(requests.get(url).status_code)'], 'HTTPS_PROXY, REQUESTS_CA_BUNDLE'),
  python('Python httpx', 'httpx', ['print(httpx.get(url).status_code)'], 'HTTPS_PROXY, SSL_CERT_FILE'),
  python(
    'Python aiohttp',
    'aiohttp, asyncio',
    [
      'async def main():',
      ' async with aiohttp.ClientSession(trust_env=True) as session:',
      '  async with session.get(url) as response: print(response.status)',
      'asyncio.run(main())',
    ],
    'HTTPS_PROXY, SSL_CERT_FILE, and trust_env=True in the session',
  ),
  {
    ...python(
      'boto3',
      'boto3, botocore.exceptions',
      [
        "s3 = boto3.client('s3', endpoint_url=url.rstrip('/'))",
        "try: s3.head_bucket(Bucket='bucket')",
        "except botocore.exceptions.ClientError as error: print(error.response['ResponseMetadata']['HTTPStatusCode'])",
      ],
      'HTTPS_PROXY, AWS_CA_BUNDLE',
    ),
    variables: awsVariables,
  },
  {
    client: 'AWS CLI',
    program: 'aws',
    words: ['s3api', 'head-bucket', '--bucket', 'bucket', '--endpoint-url', '$URL'],
    variables: awsVariables,
    set: 'HTTPS_PROXY, AWS_CA_BUNDLE',
  },
  {
    client: 'Node fetch',
    program: 'node',
    words: [
      '-e',
      'fetch(process.env.URL).then((r) => console.log(r.status), (e) => { console.error(e.cause ?? e); process.exitCode = 1; })',
    ],
    set: 'HTTPS_PROXY, NODE_USE_ENV_PROXY=1, NODE_EXTRA_CA_CERTS, with Node 24.5, 22.21 or later',
  },
  {
    client: 'Go net/http',
    program: 'go',
    words: ['run', '$DIRECTORY/doctor.go'],
    source: { name: 'doctor.go', text: goSource },
    set: 'HTTPS_PROXY, SSL_CERT_FILE',
    isSlow: true,
  },
  {
    client: 'Java HttpClient',
    program: 'java',
    words: ['$DIRECTORY/Doctor.java'],
    source: { name: 'Doctor.java', text: javaSource },
    set: 'JAVA_TOOL_OPTIONS, and the proxy in the program: Java reads none from the environment',
    isSlow: true,
  },
];

/** How a try ended. `missing`: the module that it needs is not there. */
export type ClientTry =
  | { readonly kind: 'missing' }
  | { readonly kind: 'ended'; readonly output: string }
  | { readonly kind: 'timeout' };

export function isInstalled({ program }: ClientRecipe, path: string): boolean {
  return path.split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, program)));
}

/** Runs it once, with this environment and nothing of ours. Never rejects. */
export async function tryClient(
  recipe: ClientRecipe,
  of: { readonly url: string; readonly environment: Readonly<Record<string, string>> },
): Promise<ClientTry> {
  const directory = mkdtempSync(join(tmpdir(), 'alter-doctor-'));
  try {
    if (recipe.source !== undefined) writeFileSync(join(directory, recipe.source.name), recipe.source.text);
    const environment = { ...of.environment, ...recipe.variables, URL: of.url };
    const words = recipe.words.map((word) =>
      word
        .replace('$URL', of.url)
        .replace('$DIRECTORY', directory)
        .replace('$SSL_CERT_FILE', of.environment.SSL_CERT_FILE ?? ''),
    );
    return await runQuietly(recipe.program, words, {
      directory,
      environment,
      timeoutMs: recipe.isSlow === true ? 90_000 : 20_000,
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function runQuietly(
  program: string,
  words: readonly string[],
  of: {
    readonly directory: string;
    readonly environment: Record<string, string>;
    readonly timeoutMs: number;
  },
): Promise<ClientTry> {
  return new Promise((resolve) => {
    // In a process group of its own, because `go run` and wrappers start others that would outlive them.
    const child = spawn(program, words, {
      cwd: of.directory,
      env: of.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const chunks: Buffer[] = [];
    let size = 0;
    const keep = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= 256 * 1024) chunks.push(chunk);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    let isTimeout = false;
    const timer = setTimeout(() => {
      isTimeout = true;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended just now.
      }
    }, of.timeoutMs);
    const finish = (code: number | null, more = ''): void => {
      clearTimeout(timer);
      if (isTimeout) resolve({ kind: 'timeout' });
      else if (code === missingModule) resolve({ kind: 'missing' });
      else resolve({ kind: 'ended', output: Buffer.concat(chunks).toString() + more });
    };
    child.once('error', (error) => finish(null, error.message));
    child.once('close', (code) => finish(code));
  });
}
