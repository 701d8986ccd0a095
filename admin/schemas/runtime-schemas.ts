import { z } from 'zod';
import { principalResponses } from './principal-schemas.ts';
import { futureTime, grantToFields, line, mintKeyFields, responses } from './schemas.ts';

/** The shapes of what application code is given and says, with a runtime key. */

export const runtimeRequests = {
  createGrant: z.strictObject({
    managed_secret: line(128).meta({ description: 'Id or slug of the managed secret' }),
    ...grantToFields,
    label: line(128).default('default'),
    description: line(1024).nullish(),
    expires_at: futureTime.nullish(),
  }),
  deriveKey: z.strictObject(mintKeyFields),
  createDelegation: z.strictObject({
    grant_id: line(64).meta({ description: 'A grant to the user of the token, or to a group of theirs' }),
    agent_id: line(256).meta({ description: 'Id or name of the agent' }),
    expires_at: futureTime.optional().meta({ description: 'Absent: as late as the secret allows' }),
  }),
} as const;

const usable = z
  .strictObject({
    id: z.string().meta({ description: 'What X-Alter-Grant takes' }),
    kind: z.enum(['grant', 'delegation']),
    principal_type: z.enum(['system', 'user', 'group', 'agent']),
    label: z.string(),
    managed_secret_slug: z.string(),
    managed_secret_name: z.string(),
    allowed_hosts: z.array(z.string()),
    expires_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'UsableGrant' });

export const runtimeResponses = {
  me: z
    .strictObject({
      app_id: z.string(),
      key: responses.key,
      agent: principalResponses.agent.nullable(),
      user: z
        .strictObject({
          id: z.string().nullable().meta({ description: 'Null for a user whom the app has not seen before' }),
          idp_id: z.string(),
          external_id: z.string(),
          groups: z.array(z.string()),
        })
        .nullable()
        .meta({ description: 'Of X-Alter-User-Token' }),
    })
    .meta({ id: 'Me' }),
  usable: z.strictObject({
    items: z.array(usable),
    total: z.number().int(),
    limit: z.number().int(),
    offset: z.number().int(),
    has_more: z.boolean(),
  }),
} as const;
