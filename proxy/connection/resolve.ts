import { lookup } from 'node:dns/promises';
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { AlterError } from '../../core/errors.ts';
import type { Origin } from '../../core/origin.ts';

/** Gives every address of a host. Rejects with `upstream_dns`. */
export interface Resolver {
  resolve(origin: Origin): Promise<readonly string[]>;
}

const hostsFile = process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts';

/**
 * Names resolve as on the machine: extra names first, then the hosts file, then the system's resolver. The resolver is
 * asked for the absolute name (with a trailing dot), because a search list would otherwise turn `api.example.com` into
 * `api.example.com.NAMESPACE.svc.cluster.local`, which belongs to somebody else.
 */
export class SystemResolver implements Resolver {
  readonly #extra: ReadonlyMap<string, string>;
  #hosts: { readonly changedAt: number; readonly names: ReadonlyMap<string, readonly string[]> } = {
    changedAt: -1,
    names: new Map(),
  };

  constructor(extra: ReadonlyMap<string, string>) {
    this.#extra = extra;
  }

  async resolve(origin: Origin): Promise<readonly string[]> {
    if (origin.kind !== 'name') return [origin.host];
    const extra = this.#extra.get(origin.host);
    if (extra !== undefined) return [extra];
    const listed = (await this.#hostsFile()).get(origin.host);
    if (listed !== undefined) return listed;
    try {
      return (await lookup(`${origin.host}.`, { all: true, order: 'verbatim' })).map((entry) => entry.address);
    } catch (cause) {
      throw new AlterError('upstream_dns', { detail: `The name ${origin.host} could not be resolved.`, cause });
    }
  }

  async #hostsFile(): Promise<ReadonlyMap<string, readonly string[]>> {
    try {
      const changedAt = (await stat(hostsFile)).mtimeMs;
      if (changedAt !== this.#hosts.changedAt)
        this.#hosts = { changedAt, names: parseHostsFile(await readFile(hostsFile, 'utf8')) };
      return this.#hosts.names;
    } catch {
      return new Map(); // a machine without a hosts file, or one that may not be read, has no such names
    }
  }
}

export function parseHostsFile(text: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...hosts] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const host of hosts) {
      const key = host.toLowerCase();
      names.set(key, [...(names.get(key) ?? []), address]);
    }
  }
  return names;
}
