import { Flags } from '@oclif/core';
import { givenFields } from './given-fields.ts';
import { splitList } from './split-list.ts';

/** What is said of an identity provider when it is created or changed. */
export const identityProviderFlags = {
  name: Flags.string({ description: 'Its name, for people.' }),
  issuer: Flags.string({ description: 'What its tokens say in iss, byte for byte.', helpValue: 'URL' }),
  audience: Flags.string({ description: 'What its tokens say in aud when they are meant for this app.' }),
  'jwks-url': Flags.string({
    description: 'Where its keys are; otherwise what its discovery document says.',
    helpValue: 'URL',
  }),
  'user-claim': Flags.string({ description: 'The claim with the id of the user; otherwise sub.', helpValue: 'CLAIM' }),
  'email-claim': Flags.string({ description: 'The claim with the address; otherwise email.', helpValue: 'CLAIM' }),
  'name-claim': Flags.string({ description: 'The claim with the name; otherwise name.', helpValue: 'CLAIM' }),
  'groups-claim': Flags.string({ description: 'The claim with the groups; otherwise groups.', helpValue: 'CLAIM' }),
  algorithms: Flags.string({
    description: 'What its tokens may be signed with, joined by commas; otherwise RS256,ES256.',
    helpValue: 'A,…',
  }),
  'single-use': Flags.boolean({
    description: 'Each of its tokens is good for one request; they need jti and iat then.',
    allowNo: true,
  }),
};

type Given = { readonly [Name in Exclude<keyof typeof identityProviderFlags, 'single-use'>]?: string | undefined } & {
  readonly 'single-use'?: boolean | undefined;
};

/** The fields of a request, only those that were given. */
export function identityProviderFields(flags: Given): Record<string, unknown> {
  const claims = givenFields({
    user: flags['user-claim'],
    email: flags['email-claim'],
    name: flags['name-claim'],
    groups: flags['groups-claim'],
  });
  return givenFields({
    name: flags.name,
    issuer: flags.issuer,
    audience: flags.audience,
    jwks_url: flags['jwks-url'],
    claims: Object.keys(claims).length === 0 ? undefined : claims,
    algorithms: flags.algorithms === undefined ? undefined : splitList([flags.algorithms], '--algorithms'),
    single_use: flags['single-use'],
  });
}
