import { describe, expect, it } from '@jest/globals';
import { readRedisUrl } from '../../core/store-location.ts';

describe('the URL of a Redis store', () => {
  it('names one server, Sentinels or nodes of a Cluster, with user, password, name and database', () => {
    const read = (text: string) => {
      const result = readRedisUrl(text);
      return 'location' in result ? result.location : result.problems;
    };
    const nobody = { username: null, password: null, name: null, database: 0, tls: false };
    expect(read('redis://h')).toEqual({ ...nobody, kind: 'single', servers: [{ host: 'h', port: 6379 }] });
    expect(read('rediss://:p%40@[2001:db8::1]:7/3')).toEqual({
      ...nobody,
      kind: 'single',
      tls: true,
      password: 'p@',
      database: 3,
      servers: [{ host: '2001:db8::1', port: 7 }],
    });
    expect(read('rediss+sentinel://u:p@a,b.example:2/main.store/4')).toEqual({
      kind: 'sentinel',
      tls: true,
      username: 'u',
      password: 'p',
      name: 'main.store',
      database: 4,
      servers: [
        { host: 'a', port: 26379 },
        { host: 'b.example', port: 2 },
      ],
    });
    expect(read('redis+cluster://10.0.0.1:1,10.0.0.2:2/')).toEqual({
      ...nobody,
      kind: 'cluster',
      servers: [
        { host: '10.0.0.1', port: 1 },
        { host: '10.0.0.2', port: 2 },
      ],
    });
  });

  it('is refused with all that is wrong with it at once, none of which is quoted', () => {
    const read = readRedisUrl('redis+sentinel://us%er:canary@canary:99999,b:1/can ary/x/canary?canary');
    const problems = 'problems' in read ? read.problems : [];
    expect(problems.map((problem) => problem.slice(0, 30))).toEqual([
      'may have nothing from a ? or #',
      'has a % in its user or passwor',
      'has, as server 1 of 2, no HOST',
      'needs, behind the servers, the',
      'may have only /NAME/DB behind ',
    ]);
    expect(problems.join()).not.toContain('canary');
  });
});
