import { Flags } from '@oclif/core';
import { givenFields } from './given-fields.ts';
import { splitList } from './split-list.ts';

/** What is said of a webhook when it is created or changed. */
export const webhookFlags = {
  name: Flags.string({ description: 'Its name, for people.' }),
  url: Flags.string({ description: 'The https:// endpoint that events are posted to.', helpValue: 'URL' }),
  event: Flags.string({
    description: 'An audit event, or a family such as secret.*; several joined by commas, or the flag repeated.',
    helpValue: 'E,…',
    multiple: true,
    multipleNonGreedy: true,
  }),
  decision: Flags.option({
    options: ['allow', 'deny', 'all'] as const,
    description: 'Only what was let through, or only what was refused; all: both.',
  })(),
};

interface Given {
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly event?: readonly string[] | undefined;
  readonly decision?: 'allow' | 'deny' | 'all' | undefined;
}

/** The fields of a request, only those that were given. */
export function webhookFields({ name, url, event, decision }: Given): Record<string, unknown> {
  return givenFields({
    name,
    url,
    events: event === undefined ? undefined : splitList(event, '--event'),
    decision: decision === 'all' ? null : decision,
  });
}
