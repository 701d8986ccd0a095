import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type CredentialInput, readCredential } from '../../cli/credential-intake.ts';
import { Failure } from '../../cli/failure.ts';

const directory = mkdtempSync(join(tmpdir(), 'alter-intake-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return `@${path}`;
}

async function take(given: CredentialInput) {
  const warnings: string[] = [];
  return { body: await readCredential(given, (warning) => warnings.push(warning)), warnings };
}

async function refusal(given: CredentialInput): Promise<Failure> {
  const error: unknown = await take(given).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error;
  throw new Error('this was taken');
}

describe('the intake of a credential', () => {
  it('takes a value from a file, without one line feed at its end', async () => {
    for (const end of ['', '\n', '\r\n'])
      expect(await take({ 'credential-value': file('value', `canary${end}`) })).toEqual({
        body: { credential_value: 'canary' },
        warnings: [],
      });
    const { body } = await take({ 'credential-value': file('value', 'canary\n\n') });
    expect(body).toEqual({ credential_value: 'canary\n' });
  });

  it('warns of the history of the shell for a value on the command line, and does not quote it', async () => {
    for (const given of [{ 'credential-value': 'canary' }, { 'credential-field': ['username=canary'] }]) {
      const { warnings } = await take(given);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain('history');
      expect(warnings[0]).not.toContain('canary');
    }
  });

  it('takes fields, with = in their values', async () => {
    const { body } = await take({ 'credential-field': ['username=me', 'password=a=b==', 'empty='] });
    expect(body).toEqual({ credentials: { username: 'me', password: 'a=b==', empty: '' } });
  });

  it('takes a file of fields that may hold the primary value', async () => {
    const credentials = file('fields.json', '{"credential_value":"canary","account":"7"}');
    expect(await take({ credentials })).toEqual({
      body: { credential_value: 'canary', credentials: { account: '7' } },
      warnings: [],
    });
  });

  it('lets the file win over fields and value, with a warning for each', async () => {
    const credentials = file('fields.json', '{"credential_value":"file","account":"7"}');
    const { body, warnings } = await take({
      credentials,
      'credential-field': ['account=8', 'region=x'],
      'credential-value': file('value', 'flag'),
    });
    expect(body).toEqual({ credential_value: 'file', credentials: { account: '7' } });
    expect(warnings.join('\n')).toMatch(/--credential-field is not used[\s\S]*--credential-value is not used/);
  });

  it('takes the primary value from its flag where the file does not hold one', async () => {
    const credentials = file('fields.json', '{"account":"7"}');
    const { body, warnings } = await take({ credentials, 'credential-value': file('value', 'flag') });
    expect(body).toEqual({ credential_value: 'flag', credentials: { account: '7' } });
    expect(warnings).toEqual([]);
  });

  it.each<[string, CredentialInput, number, string]>([
    ['a file that is not there', { 'credential-value': '@/nonexistent/canary-file' }, 4, '--credential-value'],
    ['a file of fields that is not there', { credentials: '@/nonexistent/x.json' }, 4, '--credentials'],
    ['a directory', { 'credential-value': `@${directory}` }, 2, 'directory'],
    ['an empty value', { 'credential-value': '' }, 2, 'empty'],
    ['fields given inline', { credentials: '{"a":"canary"}' }, 2, '--credentials'],
    ['a field without =', { 'credential-field': ['canary'] }, 2, '--credential-field'],
    ['a field without a name', { 'credential-field': ['=canary'] }, 2, '--credential-field'],
    ['a field twice', { 'credential-field': ['a=canary', 'a=canary'] }, 2, 'twice'],
    ['standard input for two things', { 'credential-value': '-', input: '-' }, 2, 'standard input'],
  ])('refuses %s', async (_, given, exit, word) => {
    const failure = await refusal(given);
    expect(failure.exit).toBe(exit);
    expect(failure.detail).toContain(word);
    expect(failure.detail.replaceAll('canary-file', '')).not.toContain('canary');
  });

  it.each<[string, string | Uint8Array]>([
    ['is empty', ''],
    ['is not JSON', '{"a": canary}'],
    ['is a list', '["canary"]'],
    ['holds a number', '{"a":17}'],
    ['is not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d])],
    ['is larger than any credential', `{"a":"${'canary'.repeat(60_000)}"}`],
  ])('refuses a file of fields that %s, without quoting it', async (_, content) => {
    const failure = await refusal({ credentials: file('bad.json', content) });
    expect(failure.exit).toBe(2);
    expect(`${failure.detail} ${failure.hint}`).not.toContain('canary');
  });

  it('passes hostile names of fields on as plain members, for the service to refuse', async () => {
    const { body } = await take({ 'credential-field': ['__proto__=x', 'constructor=y'] });
    expect(JSON.stringify(body)).toBe('{"credentials":{"__proto__":"x","constructor":"y"}}');
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });
});
