import { describe, expect, it } from '@jest/globals';
import { checkAllowedHosts } from '../../admin/check-allowed-hosts.ts';
import { AddressSet, findAddressRange } from '../../core/address.ts';

const check = (host: string, allowed: string[] = []) =>
  checkAllowedHosts([host], {
    field: 'hosts',
    allowAddresses: new AddressSet(allowed.map((text) => findAddressRange(text)!)),
  });

describe('an allowed host', () => {
  it.each([
    ['API.Example.com', 'api.example.com'],
    ['api.example.com:443', 'api.example.com'],
    ['*.Example.com', '*.example.com'],
    ['*.s3.amazonaws.com', '*.s3.amazonaws.com'],
    ['*.example.co.uk', '*.example.co.uk'],
    ['93.184.215.14:8443', '93.184.215.14:8443'],
    ['[2606:4700::1111]', '[2606:4700::1111]'],
    ['api.default.svc.cluster.local', 'api.default.svc.cluster.local'],
  ])('may be %s, kept as %s', (host, canonical) => {
    expect(check(host)).toEqual({ hosts: [canonical], problems: [] });
  });

  it.each([
    '*',
    '*.*.example.com',
    'a.*.example.com',
    '*example.com',
    '*.com',
    '*.co.uk',
    '*.COM.au',
    '*.svc',
    '*.default.svc',
    '*.svc.cluster.local',
    '*.cluster.local',
    '*.printer.local',
    '*.google.internal',
    'localhost',
    'localhost:8443',
    'a.localhost',
    '*.a.localhost',
    'redis',
    'redis:6379',
    '169.254.169.254',
    '127.0.0.1',
    '10.0.0.1:443',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::a9fe:a9fe]',
    '2130706433',
    '0x7f.1',
    '127.1',
    'https://api.example.com',
    'api.example.com/path',
    'user@api.example.com',
    'api.example.com.',
    'api_example.com',
    'api.example.com:0',
    'api.example.com:65536',
    'exämple.com',
    '',
    ' ',
  ])('may not be %j', (host) => {
    const { hosts, problems } = check(host);
    expect(hosts).toEqual([]);
    expect(problems).toEqual([{ field: 'hosts[0]', message: expect.any(String) }]);
  });

  it('may be an address that ALTER_ALLOW_ADDRESSES holds with that port, and no other', () => {
    expect(check('127.0.0.1:8443', ['127.0.0.1:8443']).problems).toEqual([]);
    expect(check('127.0.0.1:8444', ['127.0.0.1:8443']).problems).toHaveLength(1);
    expect(check('10.1.2.3', ['10.0.0.0/8']).hosts).toEqual(['10.1.2.3']);
  });

  it('may be localhost where its address is allowed with that port', () => {
    expect(check('localhost:8443', ['127.0.0.1:8443']).hosts).toEqual(['localhost:8443']);
    expect(check('api.localhost:8443', ['[::1]:8443']).hosts).toEqual(['api.localhost:8443']);
    expect(check('localhost', ['127.0.0.1:8443']).problems).toHaveLength(1);
    expect(check('redis', ['127.0.0.0/8']).problems).toHaveLength(1);
  });
});
