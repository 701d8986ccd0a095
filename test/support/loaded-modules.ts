import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface LoadedModules {
  /** Packages of npm. */
  readonly packages: readonly string[];
  /** Our own files below dist/, without their extension. */
  readonly files: readonly string[];
  /** The folders that these are in. */
  readonly rooms: readonly string[];
  /** Whether the undici inside Node was loaded; known once the process has ended. */
  readonly hasUndiciOfNode: boolean;
}

const undiciOfNode = 'internal/deps/undici/undici';

/** Sees which files a process loads, and each of its threads and of the processes that it forks. */
export class LoadedModulesRecorder {
  readonly #directory = mkdtempSync(join(tmpdir(), 'alter-loaded-'));
  readonly #log = join(this.#directory, 'log');

  /** What is typed behind `node`. Not in NODE_OPTIONS, where the service would refuse it. */
  get nodeWords(): readonly string[] {
    const source = `
      import { appendFileSync } from 'node:fs';
      import { registerHooks } from 'node:module';
      import { threadId } from 'node:worker_threads';
      const note = (url) => appendFileSync(${JSON.stringify(this.#log)}, process.pid + ' ' + threadId + ' ' + url + '\\n');
      registerHooks({ load: (url, context, next) => (note(url), next(url, context)) });
      process.on('exit', () => {
        if (process.moduleLoadList.includes('NativeModule ${undiciOfNode}')) note('${undiciOfNode}');
      });`;
    return ['--import', `data:text/javascript,${encodeURIComponent(source)}`];
  }

  /** What was loaded until now, thread by thread; the first thread of the first process comes first. */
  threads(): LoadedModules[] {
    const urls = new Map<string, string[]>();
    for (const line of readFileSync(this.#log, 'utf8').trimEnd().split('\n')) {
      const [, thread, url] = /^(\d+ \d+) (.*)$/.exec(line)!;
      urls.set(thread!, [...(urls.get(thread!) ?? []), url!]);
    }
    return [...urls.values()].map((loaded) => {
      const parts = (pattern: RegExp): string[] => [
        ...new Set(loaded.flatMap((url) => pattern.exec(url)?.[1] ?? []).sort()),
      ];
      return {
        packages: parts(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//),
        files: parts(/^(?!.*\/node_modules\/).*\/dist\/(.*)\.js$/),
        rooms: parts(/^(?!.*\/node_modules\/).*\/dist\/([a-z]+)\//),
        hasUndiciOfNode: loaded.includes(undiciOfNode),
      };
    });
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
