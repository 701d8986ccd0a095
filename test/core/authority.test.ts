import { describe, expect, it } from '@jest/globals';
import { findSigning, type KeptAuthority, listTrusted, rotateAuthority } from '../../core/authority.ts';

const of = (name: string) => ({ certificatePem: name, privateKeyPem: `key of ${name}` });
const first: KeptAuthority = { ...of('first'), activeAt: 0, previous: [] };
const [leadMs, graceMs] = [1_000, 5_000];

function stateAt(kept: KeptAuthority, now: number): string {
  const trusted = listTrusted(kept, now).map(({ certificatePem, status }) => `${certificatePem} ${status}`);
  return `${findSigning(kept, now).certificatePem}: ${trusted.join(', ')}`;
}

describe('the rotation of an authority', () => {
  it('makes the new one trusted before it signs, and lets the old one be trusted after it', () => {
    const kept = rotateAuthority(first, of('second'), { now: 100, leadMs, graceMs });
    expect(stateAt(first, 100)).toBe('first: first active');
    expect(stateAt(kept, 100)).toBe('first: first active, second next');
    expect(stateAt(kept, 1_099)).toBe('first: first active, second next');
    expect(stateAt(kept, 1_100)).toBe('second: second active, first previous');
    expect(stateAt(kept, 6_099)).toBe('second: second active, first previous');
    expect(stateAt(kept, 6_100)).toBe('second: second active');
  });

  it('at once leaves no key of the old one, and without a grace no trust either', () => {
    const kept = rotateAuthority(first, of('second'), { now: 100, leadMs: 0, graceMs: 0 });
    expect(stateAt(kept, 100)).toBe('second: second active');
    expect(JSON.stringify(kept)).not.toContain('key of first');
  });

  it('at once, in the middle of another rotation, distrusts neither of the two before', () => {
    const pending = rotateAuthority(first, of('second'), { now: 100, leadMs, graceMs });
    const kept = rotateAuthority(pending, of('third'), { now: 200, leadMs: 0, graceMs });
    expect(stateAt(kept, 200)).toBe('third: third active, first previous, second previous');
    expect(JSON.stringify(kept)).not.toContain('key of first');
    expect(JSON.stringify(kept)).not.toContain('key of second');
  });

  it('repeated forever keeps a few', () => {
    let kept = first;
    for (let now = 1; now < 30; now++) kept = rotateAuthority(kept, of(`n${now}`), { now, leadMs: 0, graceMs: 1e9 });
    expect(kept.previous).toHaveLength(4);
    expect(stateAt(kept, 30)).toContain('n29: n29 active, n28 previous');
  });
});
