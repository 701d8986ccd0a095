import type { Problem } from './errors.ts';

export const credentialTypes = ['bearer_token', 'header_key', 'basic_auth', 'aws_sig_v4'] as const;
export type CredentialType = (typeof credentialTypes)[number];

/** Named parts of a credential, such as `token` or `username`. Plaintext: keep it inside a SecretValue. */
export type CredentialFields = Readonly<Record<string, string>>;

export const maxCredentialBytes = 16_384;

/**
 * Turns what an operator gave into the fields of the type: `token` is what `{token}` stands for, and is there for all types
 * but aws_sig_v4, of which nothing is sent but a signature. `credential_value` is the primary value; a basic_auth may give
 * `username` and `password` instead, or as `user:pass`. The problems never quote a value.
 */
export function parseCredential(
  type: CredentialType,
  input: { readonly value?: string | undefined; readonly fields?: Readonly<Record<string, string>> | undefined },
): { readonly fields: CredentialFields; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const fields: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(input.fields ?? {})) {
    if (!isFieldName(name))
      problems.push({
        field: `credentials.${name.slice(0, 40)}`,
        message: 'is not a field name (letters, digits and _)',
      });
    else if (name === 'token')
      problems.push({ field: 'credentials.token', message: 'is reserved: give the primary value as credential_value' });
    else fields[name] = value;
  }
  let primary = input.value ?? fields.credential_value;
  delete fields.credential_value;
  if (type === 'aws_sig_v4') return { fields, problems: [...problems, ...checkAwsFields(primary, fields)] };

  if (type === 'basic_auth') {
    if (primary !== undefined) {
      const colon = primary.indexOf(':');
      if (colon === -1) problems.push({ field: 'credential_value', message: 'must be user:password for basic_auth' });
      fields.username ??= primary.slice(0, Math.max(colon, 0));
      fields.password ??= primary.slice(colon + 1);
    }
    if (fields.username === undefined) problems.push({ field: 'credentials.username', message: 'is missing' });
    else if (fields.username.includes(':'))
      problems.push({ field: 'credentials.username', message: 'must not contain a colon (RFC 7617)' });
    if (fields.password === undefined) problems.push({ field: 'credentials.password', message: 'is missing' });
    primary = Buffer.from(`${fields.username ?? ''}:${fields.password ?? ''}`).toString('base64');
  }

  if (primary === undefined) problems.push({ field: 'credential_value', message: 'is missing' });
  else if (primary === '') problems.push({ field: 'credential_value', message: 'is empty' });
  else fields.token = primary;

  for (const [name, value] of Object.entries(fields)) {
    const field = name === 'token' ? 'credential_value' : `credentials.${name}`;
    if (!isInjectable(value))
      problems.push({
        field,
        message: 'holds characters that cannot stand in a header: only visible ASCII, with spaces inside, is sent',
      });
    if (value.length > maxCredentialBytes)
      problems.push({ field, message: `is longer than ${maxCredentialBytes} bytes` });
  }
  return { fields, problems };
}

interface AwsField {
  readonly pattern: RegExp;
  readonly form: string;
  readonly optional?: true;
}

/** Region and service are for hosts that do not tell them, such as a custom domain or a server that speaks S3. */
const awsFields: Readonly<Record<string, AwsField>> = {
  // It stands in `Credential=ID/date/region/service/aws4_request, …`, where these three characters would end it.
  access_key_id: { pattern: /^[!-+\-.0-<>-~]{1,128}$/, form: 'visible ASCII without "/", "," and "="' },
  secret_access_key: {
    pattern: /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/,
    form: 'visible ASCII, with spaces only inside',
  },
  session_token: { pattern: /^[\x21-\x7e]+$/, form: 'visible ASCII without spaces', optional: true },
  region: { pattern: /^[a-z0-9-]{1,64}$/, form: 'a region such as eu-west-1', optional: true },
  service: { pattern: /^[A-Za-z0-9-]{1,64}$/, form: 'the signing name of a service, such as s3', optional: true },
};

function checkAwsFields(primary: string | undefined, fields: CredentialFields): Problem[] {
  const problems: Problem[] = [];
  if (primary !== undefined)
    problems.push({
      field: 'credential_value',
      message: 'does not apply to aws_sig_v4: give access_key_id and secret_access_key as credentials',
    });
  for (const name of Object.keys(fields))
    if (!Object.hasOwn(awsFields, name))
      problems.push({
        field: `credentials.${name.slice(0, 40)}`,
        message: `is not a field of aws_sig_v4, which has ${Object.keys(awsFields).join(', ')}`,
      });
  for (const [name, { pattern, form, optional }] of Object.entries(awsFields)) {
    const field = `credentials.${name}`;
    const value = fields[name];
    if (value === undefined) {
      if (!optional) problems.push({ field, message: 'is missing' });
    } else if (value === '') problems.push({ field, message: 'is empty' });
    else if (value.length > maxCredentialBytes)
      problems.push({ field, message: `is longer than ${maxCredentialBytes} bytes` });
    else if (!pattern.test(value)) problems.push({ field, message: `must be ${form}` });
  }
  return problems;
}

/** Visible ASCII, with spaces or tabs only inside: what RFC 9110 section 5.5 lets a sender generate. Empty is fine for a part. */
export function isInjectable(value: string): boolean {
  return value === '' || /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}

export function isFieldName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name) && name !== 'constructor' && name !== 'prototype';
}
