import { Flags } from '@oclif/core';
import { pathPart } from './admin-client.ts';
import { parseFileArgument, parseJsonObject, readTextFile } from './file-argument.ts';
import type { JsonObject } from './present.ts';

const others = (own: string): string[] => ['secret', 'agent', 'grant'].filter((name) => name !== own);

/** Whose policy is meant: of one of these, or else of the app. */
export const policyTargetFlags = {
  secret: Flags.string({ description: 'Of this secret, by id or slug.', helpValue: 'S', exclusive: others('secret') }),
  agent: Flags.string({ description: 'Of this agent, by id or name.', helpValue: 'A', exclusive: others('agent') }),
  grant: Flags.string({ description: 'Of this grant.', helpValue: 'G', exclusive: others('grant') }),
};

/** The path of the policy below the one of the app. */
export function policyPath(flags: {
  readonly secret?: string | undefined;
  readonly agent?: string | undefined;
  readonly grant?: string | undefined;
}): string {
  if (flags.secret !== undefined) return `/managed-secrets/${pathPart(flags.secret, '--secret')}/policy`;
  if (flags.agent !== undefined) return `/agents/${pathPart(flags.agent, '--agent')}/policy`;
  if (flags.grant !== undefined) return `/grants/${pathPart(flags.grant, '--grant')}/policy`;
  return '/policy';
}

/** The document in the file that `--grant-policy @FILE` names. Throws with exit code 4 or 2. */
export function readPolicyFile(given: string): JsonObject {
  const input = '--grant-policy';
  return parseJsonObject(readTextFile(parseFileArgument(given, input), input), input);
}
