import ManagedSecretsGroupsList from '../managed-secrets/groups/list.ts';

/** The same under the name of the object, where people look for it. */
export default class GroupsList extends ManagedSecretsGroupsList {
  static override examples = [
    { description: 'Whose name or id holds a word', command: 'alter groups list --search support' },
  ];
}
