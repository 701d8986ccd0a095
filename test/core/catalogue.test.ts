import { describe, expect, it } from '@jest/globals';
import { checkAllowedHosts } from '../../admin/check-allowed-hosts.ts';
import { AddressSet } from '../../core/address.ts';
import { findTemplate, templates } from '../../core/catalogue.ts';
import { checkInjectionRules, injectionRulesOf } from '../../core/injection.ts';

describe('the catalogue of templates', () => {
  it('has more than a hundred entries, each under an id of its own', () => {
    expect(templates.length).toBeGreaterThan(100);
    expect(new Set(templates.map(({ id }) => id)).size).toBe(templates.length);
    for (const { id } of templates) expect(id).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/);
  });

  it.each(templates)('has for $id rules that a secret may have, with the fields that it asks for', (template) => {
    const { injectionHeader: header, injectionFormat: format, injectionRules, optionalRules = [] } = template;
    const rules = injectionRulesOf({ header, format, rules: [...injectionRules, ...optionalRules] });
    const named = (template.fields ?? []).map(({ name }) => name);
    expect(checkInjectionRules(rules, ['token', ...named], 'rules')).toEqual([]);
    expect(header === null).toBe(format === null);
    if (template.credentialType === 'aws_sig_v4') return expect(rules).toEqual([]);
    const formats = rules.map((rule) => rule.format).join(' ');
    for (const name of ['token', ...named]) expect(formats).toContain(`{${name}}`);
    return undefined;
  });

  it('has nothing but required fields in the rules that always apply', () => {
    for (const { injectionFormat, injectionRules, fields = [] } of templates) {
      const formats = [injectionFormat ?? '', ...injectionRules.map(({ format }) => format)].join(' ');
      for (const { name, required } of fields) expect(formats.includes(`{${name}}`)).toBe(required);
    }
  });

  it.each(templates)(
    'allows for $id hosts that the admin service accepts, in canonical spelling',
    ({ allowedHosts }) => {
      const checked = checkAllowedHosts(allowedHosts, { field: 'hosts', allowAddresses: new AddressSet([]) });
      expect(checked).toEqual({ hosts: allowedHosts, problems: [] });
    },
  );

  it('points to documentation, and says of every entry whether it was compared with it', () => {
    for (const { docs, authFormChecked } of templates) {
      expect(new URL(docs).protocol).toBe('https:');
      expect(typeof authFormChecked).toBe('boolean');
    }
  });

  it('finds an entry by its id, and null by another', () => {
    expect(findTemplate('stripe')?.allowedHosts).toContain('api.stripe.com');
    for (const id of ['Stripe', 'nobody', '__proto__', '']) expect(findTemplate(id)).toBeNull();
  });
});
