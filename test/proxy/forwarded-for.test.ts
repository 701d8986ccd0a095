import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AddressSet, findAddressRange } from '../../core/address.ts';
import { AlterError } from '../../core/errors.ts';
import { findClientAddress, withoutForwardedFor } from '../../proxy/connection/forwarded-for.ts';

const trusted = new AddressSet(['10.0.0.0/8', 'fd00::/8'].map((text) => findAddressRange(text)!));
const from = (peer: string, ...values: string[]) =>
  findClientAddress(
    values.flatMap((value) => ['X-Forwarded-For', value]),
    peer,
    trusted,
  );

describe('X-Forwarded-For', () => {
  it.each<[string, string, string[], string]>([
    ['of a stranger means nothing', '192.0.2.1', ['198.51.100.7'], '192.0.2.1'],
    ['of a stranger is not even read', '192.0.2.1', ['nonsense'], '192.0.2.1'],
    ['that a listed hop did not send leaves the hop', '10.0.0.1', [], '10.0.0.1'],
    ['of a listed hop names the client', '10.0.0.1', ['198.51.100.7'], '198.51.100.7'],
    ['skips listed hops from the right', '10.0.0.1', ['198.51.100.7, 10.0.0.3 ,10.0.0.2'], '198.51.100.7'],
    ['does not believe what the client wrote itself', '10.0.0.1', ['203.0.113.9, 198.51.100.7'], '198.51.100.7'],
    ['does not read what the client wrote itself', '10.0.0.1', ['<script>, 198.51.100.7, 10.0.0.2'], '198.51.100.7'],
    ['is one list over several lines', '10.0.0.1', ['203.0.113.9', '198.51.100.7', '10.0.0.2'], '198.51.100.7'],
    ['gives the first hop where all are listed', '10.0.0.1', ['10.0.0.4, 10.0.0.3'], '10.0.0.4'],
    ['may carry ports', '10.0.0.1', ['198.51.100.7:4660'], '198.51.100.7'],
    ['may be IPv6', 'fd00::1', ['2001:DB8::7'], '2001:db8::7'],
    ['may be IPv6 with a port', 'fd00::1', ['[2001:db8::7]:80'], '2001:db8::7'],
    ['knows IPv4 in the clothes of IPv6', '10.0.0.1', ['::ffff:198.51.100.7'], '198.51.100.7'],
    ['knows a listed hop in the clothes of IPv6', '10.0.0.1', ['198.51.100.7, ::ffff:10.0.0.2'], '198.51.100.7'],
  ])('%s', (_, peer, values, client) => {
    expect(from(peer, ...values)).toBe(client);
  });

  it.each([
    '',
    'unknown',
    '198.51.100',
    '0x7f.1',
    '198.51.100.7,',
    '[198.51.100.7]',
    '[::1',
    'fe80::1%lo',
    '"198.51.100.7"',
  ])('of a listed hop is refused where it holds %j', (value) => {
    expect(() => from('10.0.0.1', value)).toThrow(AlterError);
  });

  it('is not told to the upstream', () => {
    expect(withoutForwardedFor(['A', '1', 'x-FORWARDED-for', '2', 'X-Forwarded-Host', '3'])).toEqual([
      'A',
      '1',
      'X-Forwarded-Host',
      '3',
    ]);
  });

  it('gives an address or a refusal, whatever it holds', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary-ascii' })), (values) => {
        try {
          expect(trusted.has(from('10.0.0.1', ...values)) || values.length > 0).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(AlterError);
        }
      }),
    );
  });
});
