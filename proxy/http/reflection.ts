import type { CredentialFields } from '../../core/credential.ts';
import type { InjectionRule } from '../../core/injection.ts';
import { withoutQueryParameter } from '../client-copies.ts';

/** Headers that carry addresses, in which an upstream repeats the query that it was asked with: a redirect for a slash is enough. */
const addressHeaders = new Set(['location', 'content-location', 'link', 'refresh', 'set-cookie']);
/** A shorter value is looked for as the whole of a header only: inside others it would be found by chance. */
const minTellingLength = 8;
/** Percent-encodings of percent-encodings that are looked through, such as an address in the query of an address. */
const maxDecodings = 3;

/**
 * What went into one request and must not come back to the workload in the head of the answer. Bodies are not looked at.
 * It costs next to nothing where no header is as long as the credential, and no credential went into the query.
 */
export class Reflection {
  readonly #values: readonly string[];
  readonly #parameters: readonly string[];
  readonly #shortest: number;

  /** `values`: what is secret. `parameters`: names of the query parameters that hold it. */
  constructor(of: { readonly values: readonly string[]; readonly parameters: readonly string[] }) {
    this.#values = of.values;
    this.#parameters = of.parameters;
    this.#shortest = Math.min(...of.values.map((value) => value.length));
  }

  /** The value of a header as the workload may see it, or null where it may not see it at all. */
  clean(name: string, value: string): string | null {
    let cleaned = value;
    if (this.#parameters.length > 0) {
      const lower = name.toLowerCase();
      if (addressHeaders.has(lower))
        for (const parameter of this.#parameters) cleaned = withoutParameter(lower, cleaned, parameter);
    }
    return this.isIn(cleaned) ? null : cleaned;
  }

  /** Whether the text holds a value, as it is or percent-encoded in any spelling. */
  isIn(text: string): boolean {
    if (text.length < this.#shortest) return false;
    let decoded = text;
    for (let i = 0; i <= maxDecodings; i++) {
      if (this.#values.some((value) => (value.length < minTellingLength ? decoded === value : decoded.includes(value))))
        return true;
      if (!decoded.includes('%')) return false;
      decoded = decoded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    }
    return false;
  }
}

/** Null where nothing secret leaves as it is. A user name alone is none. */
export function reflectionOf(fields: CredentialFields, rules: readonly InjectionRule[]): Reflection | null {
  const values = Object.keys(fields)
    .filter((name) => name !== 'username')
    .map((name) => fields[name]!);
  if (fields.username !== undefined && fields.password !== undefined)
    values.push(`${fields.username}:${fields.password}`);
  const parameters = rules.filter((rule) => rule.target === 'query').map((rule) => rule.name);
  return values.length === 0 ? null : new Reflection({ values, parameters });
}

function withoutParameter(header: string, value: string, parameter: string): string {
  const fromAddress = (address: string): string => {
    const hash = address.indexOf('#');
    if (hash === -1) return withoutQueryParameter(address, parameter);
    return withoutQueryParameter(address.slice(0, hash), parameter) + address.slice(hash);
  };
  switch (header) {
    case 'link':
      return value.replace(/<([^>]*)>/g, (_, address: string) => `<${fromAddress(address)}>`);
    case 'refresh':
      return value.replace(
        /(url\s*=\s*["']?)([^"']*)/i,
        (_, before: string, address: string) => before + fromAddress(address),
      );
    case 'set-cookie':
      return value.split(';').map(fromAddress).join(';');
    default:
      return fromAddress(value);
  }
}
