import { type CredentialType, isFieldName, parseCredential } from '../core/credential.ts';
import type { Problem } from '../core/errors.ts';
import { checkInjectionRules, type InjectionRule } from '../core/injection.ts';
import { SecretValue } from '../vault/secret-value.ts';

const maxNamedFields = 32;

/** The credential fields of a request body, each already of the right type. */
export interface CredentialInput {
  readonly credential_value?: string | undefined;
  readonly credentials?: Readonly<Record<string, string>> | undefined;
}

/** From here on the plaintext is inside the {@link SecretValue} alone. The problems never quote it, nor an odd name. */
export function takeCredential(
  type: CredentialType,
  input: CredentialInput,
): { readonly value: SecretValue; readonly problems: readonly Problem[] } {
  const entries = Object.entries(input.credentials ?? {});
  // A credential that was pasted where a name belongs must not come back in a message.
  const named = entries.filter(([name]) => isFieldName(name));
  const problems: Problem[] = [];
  if (entries.length > maxNamedFields)
    problems.push({ field: 'credentials', message: `has more than ${maxNamedFields} fields` });
  if (named.length < entries.length)
    problems.push({ field: 'credentials', message: 'has a name that is not a field name (letters, digits and _)' });
  const parsed = parseCredential(type, { value: input.credential_value, fields: Object.fromEntries(named) });
  return { value: SecretValue.of(parsed.fields), problems: [...problems, ...parsed.problems] };
}

/** What a request says of the injection, each part only where it says anything. */
export interface InjectionInput {
  readonly injection_header?: string | undefined;
  readonly injection_format?: string | undefined;
  readonly injection_rules?: readonly InjectionRule[] | undefined;
}

/** A signature goes where AWS looks for it, and a rule that sends a part of the credential would give it away. */
export function refuseInjectionOfSigned(type: CredentialType, input: InjectionInput): Problem[] {
  if (type !== 'aws_sig_v4') return [];
  return (['injection_header', 'injection_format', 'injection_rules'] as const)
    .filter((field) => input[field] !== undefined)
    .map((field) => ({ field, message: 'does not apply to aws_sig_v4, whose requests are signed' }));
}

export interface Injection {
  readonly header: string;
  readonly format: string;
  readonly rules: readonly InjectionRule[];
}

/** Checks the primary rule and the additional ones together, under the names that the fields have in a request. */
export function checkInjection({ header, format, rules }: Injection, fieldNames: readonly string[]): Problem[] {
  const all: readonly InjectionRule[] = [{ target: 'header', name: header, format }, ...rules];
  return checkInjectionRules(all, fieldNames, 'rules').map(({ field, message }) => ({
    field: nameInRequest(field),
    message,
  }));
}

function nameInRequest(field: string): string {
  const match = /^rules\[(\d+)\](.*)$/.exec(field);
  if (match === null) return 'injection_rules';
  const index = Number(match[1]);
  if (index > 0) return `injection_rules[${index - 1}]${match[2]}`;
  return match[2] === '.format' ? 'injection_format' : 'injection_header';
}
