import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { createAuthority } from '../certs/authority.ts';
import { type KeptAuthority, listTrusted, rotateAuthority } from '../core/authority.ts';
import { AlterError } from '../core/errors.ts';
import type { Vault } from '../vault/vault.ts';
import { type Route, route, type Services } from './http/route.ts';
import { durationMs } from './parse-time.ts';
import { formatTime } from './schemas/representation.ts';
import { time } from './schemas/schemas.ts';

const duration = z
  .string()
  .refine(
    (text) => text === '0' || (/^[1-9]\d{0,5}[dhm]$/.test(text) && durationMs(text) <= maxMs),
    'must be a duration such as 7d, 24h or 5m, of a year at most, or 0',
  );
const maxMs = 365 * 86_400_000;

const certificate = {
  certificate: z.string().meta({ description: 'PEM' }),
  not_after: time,
  fingerprint_sha256: z.string(),
};
const authority = z
  .strictObject({
    ...certificate,
    certificate: z.string().meta({ description: 'PEM of all that workloads have to trust, the active one first' }),
    authorities: z.array(
      z.strictObject({
        ...certificate,
        status: z.enum(['active', 'next', 'previous']),
        changes_at: time.nullable().meta({ description: 'When the next one becomes active; when a previous one ends' }),
      }),
    ),
  })
  .meta({ id: 'Authority' });

export const authorityRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/ca',
    operationId: 'getAuthority',
    summary: 'The certificates of the authority that workloads must trust',
    scope: 'any-token',
    status: 200,
    response: authority,
    answer: async ({ vault, certificatePem, now }) => ({ body: represent(await findKept(vault, certificatePem), now) }),
  }),
  route({
    method: 'POST',
    path: '/v1/ca/rotate',
    operationId: 'rotateAuthority',
    summary: 'Make a new authority: trusted at once, signing after the lead; the old one stays trusted for the grace',
    scope: 'dashboard_apps:admin',
    body: z.strictObject({
      lead: duration
        .default('24h')
        .meta({ description: 'Until it signs; 0: at once, and workloads have to learn of it' }),
      grace: duration.default('7d').meta({ description: 'How long the old one is trusted after that' }),
    }),
    status: 200,
    response: authority,
    async answer({ vault, certificatePem, accessToken, changes, now, readBody }) {
      if (accessToken.appId !== null)
        throw new AlterError('insufficient_scope', {
          detail: 'The token is limited to one app; the authority is that of all.',
        });
      const { lead, grace } = readBody();
      if (certificatePem !== null)
        throw new AlterError('conflict', {
          detail: 'The authority is given in the settings of the service (ALTER_CA_CERT), and not kept in the store.',
          hint: 'Give the new certificate with its key there, and both certificates to the workloads first.',
        });
      const [leadMs, graceMs] = [lead, grace].map((text) => (text === '0' ? 0 : durationMs(text))) as [number, number];
      const next = await createAuthority({ now });
      const kept = await changes.before({ event: 'ca.rotated', app_id: null }, () =>
        vault.authority.update((before) => {
          if (leadMs > 0 && before.activeAt > now)
            throw new AlterError('conflict', {
              detail: `A rotation is under way: the new authority signs from ${formatTime(before.activeAt)} on.`,
              hint: 'Wait for it, or make one that signs at once (a lead of 0).',
            });
          return rotateAuthority(before, next, { now, leadMs, graceMs });
        }),
      );
      return { body: represent(kept, now) };
    },
  }),
];

async function findKept(vault: Vault, certificatePem: Services['certificatePem']): Promise<KeptAuthority> {
  if (certificatePem === null) return vault.authority.get();
  return { certificatePem, privateKeyPem: '', activeAt: 0, previous: [] };
}

function represent(kept: KeptAuthority, now: number): z.output<typeof authority> {
  const authorities = listTrusted(kept, now).map(({ certificatePem, status, changesAt }) => ({
    ...describe(certificatePem),
    status,
    changes_at: changesAt === null ? null : formatTime(changesAt),
  }));
  const { not_after, fingerprint_sha256 } = authorities[0]!;
  return {
    certificate: authorities.map((one) => one.certificate).join(''),
    not_after,
    fingerprint_sha256,
    authorities,
  };
}

function describe(pem: string) {
  const { validToDate, fingerprint256 } = new X509Certificate(pem);
  return {
    certificate: `${pem.trim()}\n`,
    not_after: formatTime(validToDate.getTime()),
    fingerprint_sha256: fingerprint256,
  };
}
