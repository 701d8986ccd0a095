import { type CredentialType, isFieldName, parseCredential } from '../core/credential.ts';
import type { Problem } from '../core/errors.ts';
import {
  checkInjectionRules,
  defaultInjection,
  type Injection,
  type InjectionRule,
  injectionRulesOf,
} from '../core/injection.ts';
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
  readonly injection_header?: string | null | undefined;
  readonly injection_format?: string | null | undefined;
  readonly injection_rules?: readonly InjectionRule[] | undefined;
}

/** A signature goes where AWS looks for it, and a rule that sends a part of the credential would give it away. */
export function refuseInjectionOfSigned(type: CredentialType, input: InjectionInput): Problem[] {
  if (type !== 'aws_sig_v4') return [];
  return (['injection_header', 'injection_format', 'injection_rules'] as const)
    .filter((field) => input[field] !== undefined)
    .map((field) => ({ field, message: 'does not apply to aws_sig_v4, whose requests are signed' }));
}

/** What the request says, and for the rest what stood there before. */
export function injectionWith(input: InjectionInput, before: Injection, type: CredentialType): Injection {
  const header = input.injection_header === undefined ? before.header : input.injection_header;
  const usual = header === null ? null : (before.format ?? defaultInjection(type).format);
  return {
    header,
    format: input.injection_format === undefined ? usual : input.injection_format,
    rules: input.injection_rules ?? before.rules,
  };
}

/** Checks the primary rule and the additional ones together, under the names that the fields have in a request. */
export function checkInjection(injection: Injection, fieldNames: readonly string[]): Problem[] {
  const { header, format } = injection;
  if (header === null && format !== null)
    return [{ field: 'injection_format', message: 'is the format of injection_header, which is null' }];
  if (header !== null && format === null)
    return [{ field: 'injection_format', message: 'is null, while there is an injection_header' }];
  const all = injectionRulesOf(injection);
  if (all.length === 0)
    return [
      {
        field: 'injection_header',
        message: 'is null, while there are no injection_rules: the credential would go nowhere',
      },
    ];
  return checkInjectionRules(all, fieldNames, 'rules').map(({ field, message }) => ({
    field: nameInRequest(field, header === null ? 1 : 0),
    message,
  }));
}

/** `shift`: 1 where there is no primary rule, which otherwise is the first of them. */
function nameInRequest(field: string, shift: number): string {
  const match = /^rules\[(\d+)\](.*)$/.exec(field);
  if (match === null) return 'injection_rules';
  const index = Number(match[1]) + shift;
  if (index > 0) return `injection_rules[${index - 1}]${match[2]}`;
  return match[2] === '.format' ? 'injection_format' : 'injection_header';
}
