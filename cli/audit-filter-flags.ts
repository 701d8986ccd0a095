import { Flags } from '@oclif/core';
import { auditEventNames } from '../core/audit-event.ts';

/** Which events of the audit are wanted; each is a parameter of the API under the same name. */
export const auditFilterFlags = {
  since: Flags.string({ description: 'Only from this time on, or of the last so much.', helpValue: 'TIME|30m|7d' }),
  until: Flags.string({ description: 'Only before this time.', helpValue: 'TIME|30m|7d' }),
  outcome: Flags.option({
    options: ['succeeded', 'failed', 'denied'] as const,
    description: 'Only what ended so.',
  })(),
  event: Flags.option({ options: auditEventNames, description: 'Only this event.', helpValue: 'EVENT' })(),
  host: Flags.string({ description: 'Only requests to this host.' }),
  decision: Flags.option({ options: ['allow', 'deny'] as const, description: 'Only what was decided so.' })(),
  code: Flags.string({ description: 'Only what ended with this code, such as host_not_allowed.' }),
  grant: Flags.string({ description: 'Only what used this grant.', helpValue: 'ID' }),
  secret: Flags.string({ description: 'Only what concerns this secret.', helpValue: 'ID|SLUG' }),
  key: Flags.string({ description: 'Only what was done with this key.', helpValue: 'ID' }),
  agent: Flags.string({ description: 'Only what concerns this agent.', helpValue: 'ID' }),
  user: Flags.string({ description: 'Only what concerns this user.', helpValue: 'ID' }),
};

type FilterName = keyof typeof auditFilterFlags;
const filterNames = Object.keys(auditFilterFlags) as FilterName[];

/** As parameters of the API. */
export function auditFilters(flags: { readonly [name in FilterName]?: string | undefined }): {
  readonly [name in FilterName]?: string | undefined;
} {
  return Object.fromEntries(filterNames.map((name) => [name, flags[name]]));
}
