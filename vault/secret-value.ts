import { inspect } from 'node:util';
import type { CredentialFields } from '../core/credential.ts';

const printed = '[secret]';

/**
 * A credential in memory. Whatever prints it (a template literal, JSON, `util.inspect`, an error's cause in a log) gets
 * `[secret]`; spreading and `structuredClone` get nothing, since the fields are private to the class.
 */
export class SecretValue {
  readonly #fields: CredentialFields;

  private constructor(fields: CredentialFields) {
    // A copy without a prototype: nobody can change the value afterwards, and no field name can reach Object.prototype.
    this.#fields = Object.freeze(Object.assign(Object.create(null) as Record<string, string>, fields));
  }

  static of(fields: CredentialFields): SecretValue {
    return new SecretValue(fields);
  }

  /** Names are not secret: they stand in the record of the secret. */
  get fieldNames(): readonly string[] {
    return Object.keys(this.#fields);
  }

  /** The plaintext. Called by `proxy/inject*` alone, and where the vault seals a new value. */
  reveal(): CredentialFields {
    return this.#fields;
  }

  toString(): string {
    return printed;
  }

  toJSON(): string {
    return printed;
  }

  [Symbol.toPrimitive](): string {
    return printed;
  }

  [inspect.custom](): string {
    return printed;
  }
}
