import { describe, expect, it } from '@jest/globals';
import { findPlainFlags } from '../../cli/start-service.ts';
import { alter } from './alter.ts';

const none = { role: 'all', config: undefined, withEcho: false };

describe('the words behind `alter serve`', () => {
  it.each<[readonly string[], object]>([
    [[], none],
    [['--role', 'proxy'], { ...none, role: 'proxy' }],
    [['--role=injector', '--config=/a/b.yaml'], { ...none, role: 'injector', config: '/a/b.yaml' }],
    [['--with-echo', '--config', 'c.yaml'], { ...none, withEcho: true, config: 'c.yaml' }],
  ])('are read without oclif where they are plain: %j', (words, flags) => {
    expect(findPlainFlags(words)).toEqual(flags);
  });

  it.each([
    ['--help'],
    ['-h'],
    ['now'],
    ['--'],
    ['--role'],
    ['--role', 'king'],
    ['--role='],
    ['--config'],
    ['--config='],
    ['--config', '--with-echo'],
    ['--with-echo=true'],
    ['--no-with-echo'],
    ['--with-ech'],
    ['--role', 'proxy', '--role', 'admin'],
    ['--output', 'json'],
  ])('are left to oclif where they are not: %s %s', (...words) => {
    expect(findPlainFlags(words.filter((word) => word !== undefined))).toBeNull();
  });

  it.each([
    [['--role', 'king'], '--role'],
    [['--with-ech'], '--with-ech'],
    [['now'], 'now'],
  ])('are refused as before where they are wrong: %j', async (words, named) => {
    const { code, stderr } = await alter(['serve', ...words]);
    expect(code).toBe(2);
    expect(stderr).toContain(named);
  });
});
