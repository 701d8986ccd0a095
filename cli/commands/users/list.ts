import ManagedSecretsUsers from '../managed-secrets/users.ts';

/** The same under the name of the object, where people look for it. */
export default class UsersList extends ManagedSecretsUsers {
  static override examples = [
    { description: 'Whose name, email or id holds a word', command: 'alter users list --search alice' },
  ];
}
