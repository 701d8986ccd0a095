/** A group of users, as an identity provider knows it. Who is in it stands with the users. */
export interface Group {
  readonly id: string;
  readonly appId: string;
  readonly idpId: string;
  readonly externalGroupId: string;
  readonly name: string;
  readonly createdAt: number;
}
