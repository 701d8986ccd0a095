import { execFileSync, spawn } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';

/** A repository with one commit, "Initial", that may be pushed to over HTTP. Returns its folder. */
export function createRepository(directory: string): string {
  const folder = join(directory, 'repository.git');
  const git = (...words: readonly string[]): string =>
    execFileSync('git', words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH ?? '',
        GIT_CONFIG_NOSYSTEM: '1',
        HOME: directory,
        GIT_AUTHOR_NAME: 'Test',
        GIT_AUTHOR_EMAIL: 'test@example.com',
        GIT_COMMITTER_NAME: 'Test',
        GIT_COMMITTER_EMAIL: 'test@example.com',
      },
    }).trim();
  git('init', '--quiet', '--bare', '--initial-branch=main', folder);
  git('-C', folder, 'config', 'http.receivepack', 'true');
  const tree = git('-C', folder, 'hash-object', '-w', '-t', 'tree', '/dev/null');
  git('-C', folder, 'update-ref', 'refs/heads/main', git('-C', folder, 'commit-tree', '-m', 'Initial', tree));
  return folder;
}

/** Answers one request of git's smart HTTP protocol with git's own CGI program. */
export function answerGit(of: {
  readonly folder: string;
  readonly method: string;
  /** Path and query below the folder, such as `/info/refs?service=git-upload-pack`. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly res: ServerResponse;
}): void {
  const { folder, method, target, headers, body, res } = of;
  const [path = '', query = ''] = target.split('?');
  const child = spawn('git', ['http-backend'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH ?? '',
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: method,
      PATH_INFO: path,
      QUERY_STRING: query,
      CONTENT_TYPE: String(headers['content-type'] ?? ''),
      CONTENT_LENGTH: String(body.length),
      HTTP_CONTENT_ENCODING: String(headers['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
      REMOTE_USER: 'test',
    },
  });
  const out: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stdin.on('error', () => {}); // it may answer without reading all
  child.stdin.end(body);
  child.once('close', () => {
    const answer = Buffer.concat(out);
    const end = answer.indexOf('\r\n\r\n');
    const fields = answer
      .subarray(0, end)
      .toString('latin1')
      .split('\r\n')
      .map((line) => line.split(/: (.*)/s, 2) as [string, string]);
    const status = fields.find(([name]) => name === 'Status')?.[1] ?? '200';
    res.writeHead(Number.parseInt(status, 10), Object.fromEntries(fields.filter(([name]) => name !== 'Status')));
    res.end(answer.subarray(end + 4));
  });
}
