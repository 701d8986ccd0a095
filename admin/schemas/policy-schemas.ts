import { z } from 'zod';
import { policyErrors } from '../../core/errors.ts';
import { weekdays } from '../../core/local-time.ts';
import type { policyFields } from '../../core/policy.ts';

/** The shapes of policies. What a policy may say is judged by `core/policy.ts` alone; here it is described. */

const clock = z.string().meta({ description: 'HH:MM; an end may be 24:00', example: '09:00' });
const zone = z.string().meta({ description: 'IANA name of a time zone', example: 'America/New_York' });
const grantsOnly = 'In the policy of a grant only.';

const rules = {
  time_window: z
    .strictObject({ timezone: zone.optional(), days: z.array(z.enum(weekdays)).optional(), start: clock, end: clock })
    .meta({ description: 'A start is inside, an end is outside; an end before the start is on the next day' }),
  timezone: zone.meta({ description: 'Of rules that name none; UTC otherwise' }),
  business_hours_only: z.boolean().meta({ description: '09:00 to 17:00' }),
  weekdays_only: z.boolean().meta({ description: 'Monday to Friday' }),
  ip_allowlist: z.array(z.string()).meta({ description: 'Addresses and CIDR ranges of clients' }),
  methods: z.array(z.string()).meta({ example: ['GET', 'HEAD'] }),
  paths: z.array(z.string()).meta({ description: '`*` within a segment, `**` across', example: ['/v1/charges/**'] }),
  rate_limit: z.strictObject({ requests: z.number().int(), per_seconds: z.number().int() }),
  require_reason: z.boolean().meta({ description: 'Requests need X-Alter-Reason' }),
  expires_at: z.string().meta({ description: grantsOnly }),
  max_ttl_seconds: z
    .number()
    .int()
    .meta({ description: `${grantsOnly} Counted from when it is written.` }),
  default_ttl_seconds: z.number().int().meta({ description: grantsOnly }),
} satisfies Record<(typeof policyFields)[number], z.ZodType>;

/** A whole document, as it is shown. */
export const policyDocument = z.strictObject(rules).partial().meta({ id: 'Policy' });

/** As a field of another object; read by `policy-intake.ts`. */
export const policyField = z
  .unknown()
  .optional()
  .meta({ override: { type: ['object', 'null'], description: 'A Policy; null takes it away' } });

const method = z
  .string()
  .max(32)
  .refine((text) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text), 'must be a method, such as GET');
const moment = z
  .string()
  .refine(
    (text) =>
      /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.test(text) &&
      !Number.isNaN(Date.parse(text)),
    'must be a time in ISO 8601 with a zone, such as 2027-01-31T09:00:00Z',
  );

/** The same fields with the same descriptions, but any value of them is let through to {@link policyField}'s reader. */
function unread<Shape extends z.ZodRawShape>(shape: Shape): Record<keyof Shape & string, z.ZodOptional<z.ZodUnknown>> {
  const fields = Object.entries(shape).map(([name, schema]) => {
    const { $schema: _, '~standard': __, ...described } = z.toJSONSchema(schema as unknown as z.ZodType);
    const field = z
      .unknown()
      .optional()
      .meta({ override: ({ jsonSchema }) => void Object.assign(jsonSchema, described) });
    return [name, field] as const;
  });
  return Object.fromEntries(fields) as Record<keyof Shape & string, z.ZodOptional<z.ZodUnknown>>;
}

export const policyRequests = {
  /** The document is the whole body. */
  setPolicy: z.strictObject(unread(rules)),
  explain: z.strictObject({
    method: method.default('GET'),
    url: z.string().max(8192).meta({ description: 'The whole URL, as the client would send it' }),
    client_ip: z.union([z.ipv4(), z.ipv6()]).nullish().meta({ description: 'The address of the client' }),
    reason: z.string().max(1024).nullish().meta({ description: 'As in X-Alter-Reason' }),
    at: moment.nullish().meta({ description: 'The moment of the request; otherwise now', format: 'date-time' }),
  }),
} as const;

export const explanation = z
  .strictObject({
    grant_id: z.string(),
    managed_secret_slug: z.string().nullable(),
    decision: z.enum(['allow', 'deny']),
    code: z.string().nullable(),
    policy_error: z.enum(policyErrors).nullable(),
    rule: z.string().nullable().meta({ description: 'The rule that decides, such as grant.policy.time_window' }),
    level: z.string().nullable().meta({ description: 'Where it stands: app, secret, agent, grant, …' }),
    detail: z.string(),
    hint: z.string().nullable().meta({ description: 'The way out' }),
    rates: z
      .array(z.strictObject({ level: z.string(), requests: z.number().int(), per_seconds: z.number().int() }))
      .meta({ description: 'Limits that a request would also be counted against; a question takes nothing from them' }),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Explanation' });
