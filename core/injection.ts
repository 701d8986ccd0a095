import { type CredentialFields, type CredentialType, isInjectable } from './credential.ts';
import { AlterError, type Problem } from './errors.ts';

/** `{token}` in `format` is the primary value of the credential, `{name}` a named field; the rest is literal. */
export interface InjectionRule {
  readonly target: 'header' | 'query';
  readonly name: string;
  readonly format: string;
}

export const maxInjectionRules = 16;

/** How a credential goes in: a primary header, unless it is null, and the rules beside it. */
export interface Injection {
  readonly header: string | null;
  readonly format: string | null;
  readonly rules: readonly InjectionRule[];
}

/** All rules in order, the primary one first. */
export function injectionRulesOf({ header, format, rules }: Injection): readonly InjectionRule[] {
  return header === null || format === null ? rules : [{ target: 'header', name: header, format }, ...rules];
}

/** Where a credential of each type goes when the operator says nothing else. */
export function defaultInjection(type: CredentialType): { readonly header: string; readonly format: string } {
  switch (type) {
    case 'bearer_token':
      return { header: 'Authorization', format: 'Bearer {token}' };
    case 'basic_auth':
      return { header: 'Authorization', format: 'Basic {token}' };
    case 'header_key':
      return { header: 'X-API-Key', format: '{token}' };
    case 'aws_sig_v4': // not a rule but a description: the value is computed for each request
      return { header: 'Authorization', format: 'AWS4-HMAC-SHA256' };
  }
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const placeholder = /\{([^{}]*)\}/g;

/** Headers that frame or route a message, or that belong to this proxy: a credential in one of them would change who reads what. */
const reservedHeaders = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'via',
  'forwarded',
  'http2-settings',
  'content-encoding',
  'content-type',
  'range',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-version',
]);

/** A name with `_` counts as its twin with `-`: servers that map headers to variables read both as one. */
export function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase().replaceAll('_', '-');
  return reservedHeaders.has(lower) || lower.startsWith('proxy-') || lower.startsWith('x-alter-');
}

/** Every problem of one rule. `fieldNames` are the fields that the credential has. */
export function checkInjectionRule(rule: InjectionRule, fieldNames: readonly string[], field: string): Problem[] {
  const problems: Problem[] = [];
  if (rule.target === 'header') {
    if (!token.test(rule.name)) problems.push({ field: `${field}.name`, message: 'is not a header name' });
    else if (isReservedHeader(rule.name))
      problems.push({
        field: `${field}.name`,
        message: `"${rule.name}" frames or routes the message and can't be injected`,
      });
  } else if (!/^[\x21-\x7e]{1,128}$/.test(rule.name)) {
    problems.push({
      field: `${field}.name`,
      message: 'is not a query parameter name (visible ASCII, at most 128 characters)',
    });
  }
  if (!isInjectable(rule.format) || rule.format === '' || rule.format.length > 4_096) {
    problems.push({
      field: `${field}.format`,
      message: 'must be visible ASCII, with spaces only inside, at most 4096 characters',
    });
  }
  for (const [, name] of rule.format.matchAll(placeholder)) {
    if (!fieldNames.includes(name!))
      problems.push({
        field: `${field}.format`,
        message: `has the placeholder {${name!.slice(0, 40)}}, but the credential has no such field`,
      });
  }
  if (/[{}]/.test(rule.format.replaceAll(placeholder, '')))
    problems.push({ field: `${field}.format`, message: 'has an unpaired brace' });
  return problems;
}

/** Two rules for one name would send two values, or hide one: each name goes in once. */
export function checkInjectionRules(
  rules: readonly InjectionRule[],
  fieldNames: readonly string[],
  field: string,
): Problem[] {
  const problems: Problem[] = [];
  if (rules.length > maxInjectionRules) problems.push({ field, message: `holds more than ${maxInjectionRules} rules` });
  const seen = new Set<string>();
  rules.forEach((rule, index) => {
    problems.push(...checkInjectionRule(rule, fieldNames, `${field}[${index}]`));
    const key =
      rule.target === 'header' ? `header ${rule.name.toLowerCase().replaceAll('_', '-')}` : `query ${rule.name}`;
    if (seen.has(key)) problems.push({ field: `${field}[${index}].name`, message: `is injected twice (${key})` });
    seen.add(key);
  });
  return problems;
}

/**
 * The value that a rule sends. Checked once more here, because the record may come from a store that others can write.
 * Throws `state_invalid` where the rule and the credential do not fit.
 */
export function renderInjection(rule: InjectionRule, fields: CredentialFields): string {
  const value = rule.format.replaceAll(placeholder, (_, name: string) => {
    const part = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (part === undefined)
      throw new AlterError('state_invalid', { detail: `The credential has no field for the rule of ${rule.name}.` });
    return part;
  });
  if (value === '' || !isInjectable(value))
    throw new AlterError('state_invalid', { detail: `The value for ${rule.name} can't stand in a request.` });
  return value;
}
