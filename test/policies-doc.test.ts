import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { policyErrors } from '../core/errors.ts';
import { parsePolicy, policyFields } from '../core/policy.ts';

const text = readFileSync(new URL('../docs/policies.md', import.meta.url), 'utf8');
const examples = [...text.matchAll(/```json\n(.*?)```/gs)].map(([, json]) => json!);

describe('docs/policies.md', () => {
  it('has examples', () => expect(examples.length).toBeGreaterThanOrEqual(5));

  it.each(examples)('shows a policy that can be written: %s', (json) => {
    expect(() => parsePolicy(JSON.parse(json), { level: 'grant', field: 'policy' })).not.toThrow();
  });

  it('names every rule and every policy error', () => {
    for (const name of [...policyFields, ...policyErrors]) expect(text).toContain(`\`${name}\``);
  });
});
