import ManagedSecretsGroupsShow from '../managed-secrets/groups/show.ts';

/** The same under the name of the object, where people look for it. */
export default class GroupsShow extends ManagedSecretsGroupsShow {
  static override examples = [{ description: 'With its members and grants', command: 'alter groups show support' }];
}
