import { AddressSet } from '../core/address.ts';
import type { Config, ListenAddress } from '../core/config.ts';
import {
  type FetchHttps,
  fetchHttpsThrough,
  type Guard,
  type PostHttps,
  postHttpsThrough,
} from '../proxy/caller/fetch-https.ts';
import { KeySets } from '../proxy/caller/key-sets.ts';
import { UserMemory } from '../proxy/caller/remember-users.ts';
import { UseMemory } from '../proxy/caller/remember-uses.ts';
import { UserVerifier } from '../proxy/caller/verify-user.ts';
import { WorkloadVerifier } from '../proxy/caller/verify-workload.ts';
import { reaches } from '../proxy/connection/own-listener.ts';
import { type Resolver, SystemResolver } from '../proxy/connection/resolve.ts';
import { UpstreamTls } from '../proxy/connection/verify.ts';
import type { Log } from '../telemetry/log.ts';
import type { ReadModel } from '../vault/read-model.ts';
import type { DataPlaneVault } from '../vault/vault.ts';

/** The calls that the service makes by itself, through the guard that the calls of workloads go through. */
export function openGuardedHttps(of: {
  readonly config: Config;
  readonly isOwnAuthority: (fingerprint256: string) => boolean;
  readonly ownListeners: () => readonly ListenAddress[];
  readonly resolver: Resolver | undefined;
}): { readonly fetch: FetchHttps; readonly post: PostHttps } {
  const { config } = of;
  let guard: Guard | undefined; // made when first needed, as most need none
  const open = (): Guard => {
    guard ??= {
      dial: {
        resolver: of.resolver ?? new SystemResolver(config.hosts),
        allowed: new AddressSet(config.allowAddresses),
        isOwnListener: (address, port) => of.ownListeners().some((listener) => reaches(listener, address, port)),
        connectTimeoutMs: config.timeouts.connectMs,
      },
      tls: new UpstreamTls({ extraRoots: config.upstreamCa, isOwnAuthority: of.isOwnAuthority }),
    };
    return guard;
  };
  return {
    fetch: (url) => fetchHttpsThrough(open())(url),
    post: (url, request) => postHttpsThrough(open())(url, request),
  };
}

export interface Users {
  readonly verifier: UserVerifier;
  readonly workloads: WorkloadVerifier;
  /** Waits until everybody who was seen is written down. */
  close(): Promise<void>;
}

/** Proves users by their tokens, and writes them down when they are first seen. */
export function openUsers(of: {
  readonly model: ReadModel;
  readonly vault: DataPlaneVault;
  readonly fetch: FetchHttps;
  readonly clock: () => number;
  readonly log: Log;
}): Users {
  const { log } = of;
  const memory = new UserMemory({
    vault: of.vault,
    clock: of.clock,
    onFailure: (error) => log.warn('A user who was seen could not be written down.', { error }),
  });
  const keySets = new KeySets({
    fetch: of.fetch,
    onFailure: (url, error) =>
      log.warn('The keys of an identity provider could not be fetched.', {
        host: hostOf(url),
        code: error.code,
        error,
      }),
  });
  const verifier = new UserVerifier({ model: of.model, keySets, onVerified: memory.saw });
  const workloads = new WorkloadVerifier({ model: of.model, keySets });
  return { verifier, workloads, close: () => memory.settle() };
}

/** Writes down when keys and grants were last used. */
export function openUses(of: {
  readonly vault: DataPlaneVault;
  readonly clock: () => number;
  readonly log: Log;
}): UseMemory {
  const onFailure = (error: unknown) => of.log.warn('What was used last could not be written down.', { error });
  return new UseMemory({ ...of, onFailure });
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : '';
}
