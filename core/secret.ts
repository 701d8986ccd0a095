import type { CredentialType } from './credential.ts';
import type { InjectionRule } from './injection.ts';
import type { PolicyDocument } from './policy-document.ts';

/** A managed secret without its value. The value lives in a {@link SecretVersion} of its own. */
export interface Secret {
  readonly id: string;
  readonly appId: string;
  /** Unique in the app; fixed at creation. */
  readonly slug: string;
  readonly name: string;
  readonly description: string | null;
  /** Id of the template that it was made from; what it said then is in the other fields. */
  readonly template: string | null;
  readonly credentialType: CredentialType;
  /**
   * The header of the primary rule, and its format with `{token}` or a named `{field}`. Both null: there is no primary rule,
   * and everything goes in through `injectionRules`.
   */
  readonly injectionHeader: string | null;
  readonly injectionFormat: string | null;
  /** Additional rules, beside the primary one. */
  readonly injectionRules: readonly InjectionRule[];
  /** Names of the credential's fields, `token` among them; the values are in the version. */
  readonly fieldNames: readonly string[];
  readonly accountIdentifier: string | null;
  readonly accountDisplayName: string | null;
  /** Canonical host patterns. Empty: the secret goes nowhere. */
  readonly allowedHosts: readonly string[];
  /** Whether members of a group may lend the group's grants to agents. */
  readonly allowGroupDelegation: boolean;
  /** 1 to 1825. */
  readonly maxDelegationTtlDays: number;
  readonly policy: PolicyDocument | null;
  /** Number of the current version, from 1. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly rotatedAt: number | null;
}

/** The sealed value of one version, as it is stored: opened only to be injected. */
export interface SecretVersion {
  readonly secretId: string;
  readonly version: number;
  /** The key of this version, wrapped under the app's key; base64. */
  readonly wrappedKey: string;
  /** The credential's fields as JSON, sealed under that key; base64. */
  readonly sealedValue: string;
  readonly createdAt: number;
}
