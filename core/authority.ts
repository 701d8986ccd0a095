/** A certificate authority as it is kept: the private key is a secret. */
export interface AuthorityMaterial {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** The authority of a service, with those that it takes the place of. Times are milliseconds since the epoch. */
export interface KeptAuthority extends AuthorityMaterial {
  /** From then on it signs; until then the one before it does, so that workloads can learn to trust this one first. */
  readonly activeAt: number;
  /** The newest first. */
  readonly previous: readonly PreviousAuthority[];
}

export interface PreviousAuthority {
  readonly certificatePem: string;
  /** Null where it must not sign any more. */
  readonly privateKeyPem: string | null;
  readonly trustedUntil: number;
}

export interface TrustedAuthority {
  readonly certificatePem: string;
  readonly status: 'active' | 'next' | 'previous';
  /** When the next one becomes active, and when a previous one is no longer trusted; null for the active one. */
  readonly changesAt: number | null;
}

/** The authority that signs at this moment. */
export function findSigning(kept: KeptAuthority, now: number): AuthorityMaterial {
  const before = kept.previous[0];
  if (now >= kept.activeAt || before === undefined || before.privateKeyPem === null) return kept;
  return { certificatePem: before.certificatePem, privateKeyPem: before.privateKeyPem };
}

/** Everything that workloads have to trust at this moment, the active one first. */
export function listTrusted(kept: KeptAuthority, now: number): readonly TrustedAuthority[] {
  const active = findSigning(kept, now).certificatePem;
  const { certificatePem, activeAt } = kept;
  return [
    { certificatePem: active, status: 'active', changesAt: null },
    ...(certificatePem === active ? [] : [{ certificatePem, status: 'next', changesAt: activeAt } as const]),
    ...kept.previous
      .filter((one) => one.certificatePem !== active && one.trustedUntil > now)
      .map((one) => ({ certificatePem: one.certificatePem, status: 'previous', changesAt: one.trustedUntil }) as const),
  ];
}

const maxPrevious = 4;

/**
 * What is kept after `next` has been made: without a lead it signs at once, and no other does any more. Nothing from before
 * is trusted for longer than the grace after that.
 */
export function rotateAuthority(
  kept: KeptAuthority,
  next: AuthorityMaterial,
  of: { readonly now: number; readonly leadMs: number; readonly graceMs: number },
): KeptAuthority {
  const activeAt = of.now + of.leadMs;
  const trustedUntil = activeAt + of.graceMs;
  const replaced = listTrusted(kept, of.now)
    .filter(({ status }) => status !== 'previous')
    .map(({ certificatePem }) => certificatePem);
  const signing = findSigning(kept, of.now);
  const previous: PreviousAuthority[] = replaced.map((certificatePem) => ({
    certificatePem,
    privateKeyPem: of.leadMs > 0 && certificatePem === signing.certificatePem ? signing.privateKeyPem : null,
    trustedUntil,
  }));
  const older = kept.previous
    .filter((one) => one.trustedUntil > of.now && !replaced.includes(one.certificatePem))
    .map((one) => ({ ...one, privateKeyPem: null, trustedUntil: Math.min(one.trustedUntil, trustedUntil) }));
  return { ...next, activeAt, previous: [...previous, ...older].slice(0, maxPrevious) };
}
