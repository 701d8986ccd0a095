import type { Problem } from './errors.ts';

export const credentialTypes = ['bearer_token', 'header_key', 'basic_auth'] as const;
export type CredentialType = (typeof credentialTypes)[number];

/** Named parts of a credential, such as `token` or `username`. Plaintext: keep it inside a SecretValue. */
export type CredentialFields = Readonly<Record<string, string>>;

export const maxCredentialBytes = 16_384;

/**
 * Turns what an operator gave into the fields of the type: `token` is always there and is what `{token}` stands for.
 * `credential_value` is the primary value; a basic_auth may give `username` and `password` instead, or as `user:pass`.
 * The problems never quote a value.
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

/** Visible ASCII, with spaces or tabs only inside: what RFC 9110 section 5.5 lets a sender generate. Empty is fine for a part. */
export function isInjectable(value: string): boolean {
  return value === '' || /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/.test(value);
}

export function isFieldName(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_]{0,63}$/.test(name) && name !== 'constructor' && name !== 'prototype';
}
