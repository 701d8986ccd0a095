import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { nodeVersionProblem } from '../../core/node-version.ts';

describe('the version of Node', () => {
  it.each(['22.22.2', '22.23.0', '24.15.0', 'v24.21.0', '26.0.0', '27.1.0', '100.0.0'])(
    '%s is supported',
    (version) => {
      expect(nodeVersionProblem(version)).toBeNull();
    },
  );

  it.each(['18.20.0', '20.19.5', '21.0.0', '22.22.1', 'v22.9.0', '23.11.0', '24.14.9', '25.2.0', ''])(
    '%s is not, and the problem says what is',
    (version) => {
      expect(nodeVersionProblem(version)).toMatch(/22\.22\.2.*24\.15.*26/);
    },
  );

  it('is checked against the same range as in package.json', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(manifest.engines.node).toBe('^22.22.2 || ^24.15.0 || >=26');
  });
});
