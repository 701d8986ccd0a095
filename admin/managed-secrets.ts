import type { AddressSet } from '../core/address.ts';
import type { Template } from '../core/catalogue.ts';
import { defaultDelegationTtlDays } from '../core/delegation.ts';
import { AlterError, type Problem } from '../core/errors.ts';
import { defaultInjection } from '../core/injection.ts';
import type { Secret } from '../core/secret.ts';
import type { Versioned } from '../vault/records/record.ts';
import { checkAllowedHosts } from './check-allowed-hosts.ts';
import {
  type CredentialInput,
  checkInjection,
  injectionWith,
  refuseInjectionOfSigned,
  takeCredential,
} from './credential-intake.ts';
import { refuse } from './http/check-fields.ts';
import { requireRevision } from './http/etag.ts';
import { type AppCall, appRoute, type Route } from './http/route.ts';
import { requirePolicyScope, takePolicy } from './policy-intake.ts';
import type { ChangeEvent } from './record-change.ts';
import { principalRequests } from './schemas/principal-schemas.ts';
import { representPage, representSecret } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';
import { findMissingFields, injectionOfTemplate, takeTemplate } from './templates.ts';

const collection = '/v1/apps/{app}/managed-secrets';
const item = `${collection}/{secret}`;

export const managedSecretRoutes: readonly Route[] = [
  appRoute({
    method: 'GET',
    path: collection,
    operationId: 'listManagedSecrets',
    summary: 'The managed secrets of the app',
    scope: 'dashboard_secrets:read',
    query: requests.page,
    status: 200,
    response: responses.secrets,
    async answer({ app, query }) {
      const { items, total } = await app.secrets.list(query);
      return {
        body: representPage(
          items.map(({ value }) => representSecret(value)),
          { total, ...query },
        ),
      };
    },
  }),
  appRoute({
    method: 'POST',
    path: collection,
    operationId: 'createManagedSecret',
    summary: 'Store a credential, and grant it to the runtime keys of the app',
    scope: 'dashboard_secrets:write',
    body: requests.createSecret,
    status: 201,
    response: responses.createdSecret,
    async answer({ app, changes, allowAddresses, readBody, accessToken }) {
      const body = readBody((valid) => checkNewSecret(valid, allowAddresses));
      requirePolicyScope(accessToken, body.policy);
      const { type, hosts, value, injection } = fillIn(body, takeTemplate(body.template, 'template').template);
      const { secret, grant } = await changes.after({
        create: () =>
          app.secrets.create({
            draft: {
              name: body.name,
              description: body.description ?? null,
              template: body.template,
              credentialType: type,
              injectionHeader: injection.header,
              injectionFormat: injection.format,
              injectionRules: injection.rules,
              accountIdentifier: body.account_identifier ?? null,
              accountDisplayName: body.account_display_name ?? null,
              allowedHosts: checkAllowedHosts(hosts, { field: 'allowed_hosts', allowAddresses }).hosts,
              policy: readPolicy(body).policy,
              allowGroupDelegation: body.allow_group_delegation ?? false,
              maxDelegationTtlDays: body.max_delegation_ttl_days ?? defaultDelegationTtlDays,
            },
            fields: value,
            baseGrantLabel: body.label,
          }),
        event: (created) => ({
          ...secretEvent('secret.created', created.secret.value),
          grant_id: created.grant.value.id,
        }),
        takeBack: (created) => app.secrets.delete(created.secret.value.id),
      });
      return { body: { ...representSecret(secret.value), grant_id: grant.value.id }, revision: secret.revision };
    },
  }),
  appRoute({
    method: 'GET',
    path: item,
    operationId: 'getManagedSecret',
    summary: 'One managed secret, without its value',
    scope: 'dashboard_secrets:read',
    status: 200,
    response: responses.secret,
    answer: async ({ app, params }) => answerSecret(await app.secrets.get(params.secret!)),
  }),
  appRoute({
    method: 'PATCH',
    path: item,
    operationId: 'updateManagedSecret',
    summary: 'Change the name, the description, the injection, the account or the policy of a managed secret',
    scope: 'dashboard_secrets:write',
    body: requests.updateSecret,
    conditional: true,
    status: 200,
    response: responses.secret,
    async answer(call) {
      const { app, changes, params, expectedRevision } = call;
      const current = await app.secrets.get(params.secret!);
      const body = call.readBody((valid) => [...checkChange(current.value, valid), ...readPolicy(valid).problems]);
      requirePolicyScope(call.accessToken, body.policy);
      requireRevision(current, expectedRevision);
      const updated = await changes.before(secretEvent('secret.updated', current.value), () =>
        app.secrets.update(
          current.value.id,
          (secret) => {
            refuse(checkChange(secret, body)); // it may have been rotated to other fields since it was read
            const injection = injectionAfter(secret, body);
            return {
              ...secret,
              name: body.name ?? secret.name,
              description: body.description === undefined ? secret.description : body.description,
              injectionHeader: injection.header,
              injectionFormat: injection.format,
              injectionRules: injection.rules,
              policy: body.policy === undefined ? secret.policy : readPolicy(body).policy,
              accountIdentifier:
                body.account_identifier === undefined ? secret.accountIdentifier : body.account_identifier,
              accountDisplayName:
                body.account_display_name === undefined ? secret.accountDisplayName : body.account_display_name,
            };
          },
          expectedRevision,
        ),
      );
      return answerSecret(updated);
    },
  }),
  appRoute({
    method: 'DELETE',
    path: item,
    operationId: 'deleteManagedSecret',
    summary: 'Delete a managed secret for good, and revoke its grants',
    scope: 'dashboard_secrets:delete',
    conditional: true,
    whileArchived: true,
    status: 204,
    response: null,
    async answer({ app, changes, params, expectedRevision }) {
      const current = await app.secrets.get(params.secret!);
      requireRevision(current, expectedRevision);
      await changes.before(secretEvent('secret.deleted', current.value), () =>
        app.secrets.delete(current.value.id, expectedRevision),
      );
      return { body: null };
    },
  }),
  appRoute({
    method: 'POST',
    path: `${item}/rotate`,
    operationId: 'rotateManagedSecret',
    summary: 'Replace the value; its grants keep working',
    scope: 'dashboard_secrets:write',
    body: requests.rotateSecret,
    conditional: true,
    status: 200,
    response: responses.secret,
    answer: rotate,
  }),
  appRoute({
    method: 'PUT',
    path: `${item}/allowed-hosts`,
    operationId: 'setAllowedHosts',
    summary: 'Replace the hosts that the secret may be sent to; an empty list blocks it',
    scope: 'dashboard_secrets:write',
    body: requests.setAllowedHosts,
    conditional: true,
    status: 200,
    response: responses.secret,
    async answer({ app, changes, params, allowAddresses, expectedRevision, readBody }) {
      const current = await app.secrets.get(params.secret!);
      const { hosts } = readBody((valid) =>
        valid.hosts === undefined ? [] : checkAllowedHosts(valid.hosts, { field: 'hosts', allowAddresses }).problems,
      );
      const allowedHosts = checkAllowedHosts(hosts, { field: 'hosts', allowAddresses }).hosts;
      requireRevision(current, expectedRevision);
      const updated = await changes.before(secretEvent('secret.updated', current.value), () =>
        app.secrets.update(current.value.id, (secret) => ({ ...secret, allowedHosts }), expectedRevision),
      );
      return answerSecret(updated);
    },
  }),
  appRoute({
    method: 'PUT',
    path: `${item}/delegation-policy`,
    operationId: 'setDelegationPolicy',
    summary:
      'Set how the grants of a secret may be lent: group delegation is off unless given, the days stay as they are',
    scope: 'dashboard_secrets:write',
    body: principalRequests.delegationPolicy,
    conditional: true,
    status: 200,
    response: responses.secret,
    async answer({ app, changes, params, expectedRevision, readBody }) {
      const current = await app.secrets.get(params.secret!);
      const body = readBody();
      requireRevision(current, expectedRevision);
      const allowGroupDelegation = body.allow_group_delegation ?? false;
      const updated = await changes.before(secretEvent('secret.updated', current.value), () =>
        app.secrets.update(
          current.value.id,
          (secret) => ({
            ...secret,
            allowGroupDelegation,
            maxDelegationTtlDays: body.max_delegation_ttl_days ?? secret.maxDelegationTtlDays,
          }),
          expectedRevision,
        ),
      );
      return answerSecret(updated);
    },
  }),
];

const rotateAttempts = 5;

/**
 * The revision that was checked is the one that is rotated, so that no rule is left without its field and the recorded
 * version is the one that is made. Without `If-Match`, a change by somebody else in between means to look again.
 */
async function rotate(
  call: AppCall<Record<never, never>, typeof requests.rotateSecret.shape>,
): Promise<{ body: object; revision: number }> {
  const { app, changes, params, expectedRevision } = call;
  for (let attempt = 1; ; attempt += 1) {
    const current = await app.secrets.get(params.secret!);
    const secret = current.value;
    const body = call.readBody((valid) => checkRotation(secret, valid));
    requireRevision(current, expectedRevision);
    try {
      const rotated = await changes.before(
        { ...secretEvent('secret.rotated', secret), secret_version: secret.version + 1 },
        () => app.secrets.rotate(secret.id, takeCredential(secret.credentialType, body).value, current.revision),
      );
      return answerSecret(rotated);
    } catch (error) {
      const isRace = error instanceof AlterError && error.code === 'revision_conflict';
      if (!isRace || expectedRevision !== undefined || attempt === rotateAttempts) throw error;
    }
  }
}

function answerSecret({ value, revision }: Versioned<Secret>): { body: object; revision: number } {
  return { body: representSecret(value), revision };
}

function secretEvent(event: ChangeEvent['event'], secret: Secret): ChangeEvent {
  return {
    event,
    app_id: secret.appId,
    managed_secret_id: secret.id,
    managed_secret_slug: secret.slug,
    secret_version: secret.version,
  };
}

type NewSecret = Partial<ReturnType<typeof requests.createSecret.parse>>;
type SecretChange = Partial<ReturnType<typeof requests.updateSecret.parse>>;

/** What is said of a new secret and, where it is silent, what its template says or is usual. What is wrong is told with it. */
function fillIn(body: NewSecret, template: Template | null) {
  const type = body.credential_type ?? template?.credentialType ?? 'bearer_token';
  const { value, problems } = takeCredential(type, body);
  // A signature is no rule: of a template for one nothing can be kept for another type, nor the other way round.
  const isSigned = type === 'aws_sig_v4';
  const fits = template !== null && (template.credentialType === 'aws_sig_v4') === isSigned;
  const before = fits ? injectionOfTemplate(template, value.fieldNames) : { ...defaultInjection(type), rules: [] };
  const injection = injectionWith(body, before, type);
  const missing = template === null ? [] : findMissingFields(template, injection, value.fieldNames);
  return {
    type,
    value,
    injection,
    hosts: body.allowed_hosts ?? template?.allowedHosts ?? [],
    missing,
    problems: [
      ...problems,
      ...missing.map((name) => ({ field: `credentials.${name}`, message: 'is missing: the template asks for it' })),
    ],
  };
}

function injectionAfter(secret: Secret, change: SecretChange) {
  const { injectionHeader: header, injectionFormat: format, injectionRules: rules, credentialType } = secret;
  return injectionWith(change, { header, format, rules }, credentialType);
}

function checkNewSecret(body: NewSecret, allowAddresses: AddressSet): Problem[] {
  const policy = readPolicy(body).problems;
  const { template, problems: unknown } = takeTemplate(body.template ?? null, 'template');
  const filled = fillIn(body, template);
  const hosts = checkAllowedHosts(filled.hosts, { field: 'allowed_hosts', allowAddresses }).problems;
  // Without the type, or the template that may say it, nothing follows for the credential.
  const isOpen = body.credential_type === undefined || body.template === undefined || unknown.length > 0;
  if (isOpen) return [...unknown, ...hosts, ...policy];
  // What a whole credential would have: a field that is missing is told once, and not again for the rule that sends it.
  const names = ['token', ...filled.missing, ...filled.value.fieldNames];
  const misplaced = refuseInjectionOfSigned(filled.type, body);
  const injection = misplaced.length > 0 ? misplaced : checkInjection(filled.injection, names);
  return [...filled.problems, ...injection, ...hosts, ...policy];
}

function readPolicy(body: { readonly policy?: unknown }) {
  return takePolicy(body.policy, { level: 'secret', field: 'policy' });
}

function checkChange(secret: Secret, change: SecretChange): Problem[] {
  const misplaced = refuseInjectionOfSigned(secret.credentialType, change);
  return misplaced.length > 0 ? misplaced : checkInjection(injectionAfter(secret, change), secret.fieldNames);
}

function checkRotation(secret: Secret, input: CredentialInput): Problem[] {
  const { value, problems } = takeCredential(secret.credentialType, input);
  const injection = checkInjection(injectionAfter(secret, {}), ['token', ...value.fieldNames]);
  return [...problems, ...injection];
}
