/** The certificate authority as it is kept: sealed, in the system space. */
export interface StoredAuthority {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export class AuthorityRepository {
  find(): Promise<StoredAuthority | null> {
    throw new Error('not built yet');
  }

  /** Keeps the first one: answers with what is stored, which is another process's authority where that was faster. */
  create(_authority: StoredAuthority): Promise<StoredAuthority> {
    throw new Error('not built yet');
  }
}
