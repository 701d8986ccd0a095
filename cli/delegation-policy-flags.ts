import { Flags } from '@oclif/core';
import { maxDelegationTtlDays, minDelegationTtlDays } from '../core/delegation.ts';

/** How the grants of a secret may be lent to agents. */
export const delegationPolicyFlags = {
  'allow-group-delegation': Flags.boolean({
    description: 'Let the members of a group lend what the group was granted.',
  }),
  'max-delegation-ttl-days': Flags.integer({
    description: `How many days a delegation lasts at most, ${minDelegationTtlDays} to ${maxDelegationTtlDays}.`,
    min: minDelegationTtlDays,
    max: maxDelegationTtlDays,
    helpValue: 'N',
  }),
};
