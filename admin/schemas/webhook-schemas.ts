import { z } from 'zod';
import { webhookEvents } from '../../core/webhook.ts';
import { line, listOf, paging, time } from './schemas.ts';

/** The shapes of webhooks. */

const url = z
  .string()
  .max(2048)
  .refine((text) => isPlainHttps(text), 'must be an https:// URL without user name and fragment')
  .meta({ description: 'Where events are posted to, over https' });
const events = z
  .array(z.enum(webhookEvents as [string, ...string[]]))
  .min(1)
  .max(webhookEvents.length)
  .meta({ description: 'Names of audit events, or of a whole family, such as secret.*' });
const decision = z.enum(['allow', 'deny']).nullish().meta({ description: 'Only events with this decision; null: all' });

function isPlainHttps(text: string): boolean {
  if (!/^[\x21-\x7e]*$/.test(text) || !URL.canParse(text) || text.includes('#')) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === 'https:' && username === '' && password === '';
}

export const webhookRequests = {
  list: z.strictObject(paging),
  create: z.strictObject({ name: line(128), url, events, decision }),
  update: z.strictObject({
    name: line(128).optional(),
    url: url.optional(),
    events: events.optional(),
    decision,
    enabled: z.boolean().optional(),
  }),
} as const;

const fields = {
  id: z.string(),
  name: z.string(),
  url: z.string(),
  events: z.array(z.string()),
  decision: z.enum(['allow', 'deny']).nullable(),
  enabled: z.boolean(),
  status: z.enum(['active', 'failing', 'disabled']),
  failing_since: time.nullable(),
  next_attempt_at: time.nullable().meta({ description: 'While it is failing' }),
  last_attempt_at: time.nullable(),
  last_delivered_at: time.nullable(),
  last_status: z.number().int().nullable().meta({ description: 'What the endpoint answered last; null: nothing' }),
  last_error: z.string().nullable().meta({ description: 'Why the last attempt failed, such as upstream_timeout' }),
  created_at: time,
  updated_at: time,
};
const webhook = z.strictObject(fields).meta({ id: 'Webhook' });

export const webhookResponses = {
  webhook,
  webhooks: listOf(webhook),
  created: z
    .strictObject({
      ...fields,
      secret: z.string().nullable().meta({
        description: 'What deliveries are signed with, shown this once. Null where an answer is repeated',
      }),
    })
    .meta({ id: 'CreatedWebhook' }),
  test: z
    .strictObject({
      delivered: z.boolean(),
      status: z.number().int().nullable(),
      error: z.string().nullable(),
    })
    .meta({ id: 'WebhookTest' }),
} as const;
