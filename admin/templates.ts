import { findTemplate, type Template, templates } from '../core/catalogue.ts';
import { defaultInjection, type Injection, type InjectionRule, injectionRulesOf } from '../core/injection.ts';
import { type Route, route } from './http/route.ts';
import { representPage, representRules } from './schemas/representation.ts';
import { requests, responses } from './schemas/schemas.ts';

export const templateRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/templates',
    operationId: 'listTemplates',
    summary: 'The providers that a managed secret can be pre-filled for',
    scope: 'any-token',
    query: requests.listTemplates,
    status: 200,
    response: responses.templates,
    async answer({ query: { limit, offset, search } }) {
      const found =
        search === undefined ? templates : templates.filter((each) => isFoundBy(each, search.toLowerCase()));
      const items = found.slice(offset, offset + limit).map(representTemplate);
      return { body: representPage(items, { total: found.length, limit, offset }) };
    },
  }),
];

/** `field` is where the template was named. */
export function takeTemplate(id: string | null, field: string) {
  const template = id === null ? null : findTemplate(id);
  const problems =
    id === null || template !== null
      ? []
      : [
          {
            field,
            message: 'is none of the templates, which GET /v1/templates and "alter managed-secrets templates" list',
          },
        ];
  return { template, problems };
}

/** Where a template says a credential goes that has these fields. */
export function injectionOfTemplate(template: Template, fieldNames: readonly string[]): Injection {
  if (template.credentialType === 'aws_sig_v4') return { ...defaultInjection('aws_sig_v4'), rules: [] };
  const optional = (template.optionalRules ?? []).filter((rule) =>
    placeholdersOf(rule).every((name) => name === 'token' || fieldNames.includes(name)),
  );
  return {
    header: template.injectionHeader,
    format: template.injectionFormat,
    rules: [...template.injectionRules, ...optional],
  };
}

/** Fields that the template asks for, the rules send, and the credential has not. */
export function findMissingFields(template: Template, injection: Injection, fieldNames: readonly string[]): string[] {
  const sent = new Set(injectionRulesOf(injection).flatMap(placeholdersOf));
  return (template.fields ?? [])
    .filter(({ name, required }) => required && sent.has(name) && !fieldNames.includes(name))
    .map(({ name }) => name);
}

function placeholdersOf(rule: InjectionRule): string[] {
  return [...rule.format.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1]!);
}

function isFoundBy(template: Template, search: string): boolean {
  return [template.id, template.name, ...template.allowedHosts].some((text) => text.toLowerCase().includes(search));
}

function representTemplate(template: Template) {
  return {
    id: template.id,
    name: template.name,
    credential_type: template.credentialType,
    injection_header: template.injectionHeader,
    injection_format: template.injectionFormat,
    injection_rules: representRules(template.injectionRules),
    optional_rules: representRules(template.optionalRules ?? []),
    fields: (template.fields ?? []).map(({ name, required }) => ({ name, required })),
    username: template.username ?? null,
    password: template.password ?? null,
    allowed_hosts: template.allowedHosts,
    docs: template.docs,
    auth_form_checked: template.authFormChecked,
    note: template.note ?? null,
  };
}
