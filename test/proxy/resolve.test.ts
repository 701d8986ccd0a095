import { describe, expect, it } from '@jest/globals';
import { parseAuthority } from '../../core/origin.ts';
import { parseHostsFile, SystemResolver } from '../../proxy/connection/resolve.ts';

const of = (host: string) => parseAuthority(host, 'https', 443);

describe('the hosts file', () => {
  it('gives every address of a name, in any case, and passes over comments and what is no address', () => {
    const names = parseHostsFile(
      '# first\n127.0.0.1 localhost A.Test # here\n::1\tlocalhost\n\nnot-an-address x.test\n10.0.0.1\n',
    );
    expect(Object.fromEntries(names)).toEqual({ localhost: ['127.0.0.1', '::1'], 'a.test': ['127.0.0.1'] });
  });
});

describe('the resolver of the system', () => {
  it('gives the extra names first, then those of the hosts file, and an address as it is', async () => {
    const resolver = new SystemResolver(new Map([['a.test', '192.0.2.1']]));
    expect(await resolver.resolve(of('a.test'))).toEqual(['192.0.2.1']);
    expect(await resolver.resolve(of('localhost'))).toContain('127.0.0.1');
    expect(await resolver.resolve(of('192.0.2.7'))).toEqual(['192.0.2.7']);
    expect(await resolver.resolve(of('[2001:db8::7]'))).toEqual(['2001:db8::7']);
  });

  it('says so where a name does not exist', async () => {
    await expect(new SystemResolver(new Map()).resolve(of('no-such-name.invalid'))).rejects.toMatchObject({
      code: 'upstream_dns',
    });
  });
});
