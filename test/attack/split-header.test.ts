import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig } from '../support/rig.ts';

/* A credential, or a rule about one, that would end its header and begin another: refused before it is stored. */
describe('a credential that would split its header', () => {
  let rig: Rig;

  beforeAll(async () => {
    rig = await Rig.open();
  });
  afterAll(() => rig?.close());

  const store = (body: Record<string, unknown>, expected: readonly number[]) =>
    rig.admin<{ code?: string }>('POST', '/managed-secrets', { name: `s${Math.random()}`, ...body }, expected);

  it.each([
    ['CR and LF', 'a\r\nX: y'],
    ['LF', 'a\nb'],
    ['CR', 'a\rb'],
    ['LF at the end', 'a\n'],
    ['NUL', 'a\0b'],
    ['DEL', 'a\x7f'],
    ['an escape', 'a\x1b[0m'],
    ['what is beyond ASCII', 'é'],
    ['half of a character', '\ud800'],
    ['nothing', ''],
  ])('is refused: %s', async (_, value) => {
    expect((await store({ credential_value: value }, [422])).code).toBe('validation_failed');
  });

  it.each([
    ['a header name with a line end', { injection_header: 'X-A\r\nX-B', injection_format: '{token}' }],
    ['a header name with a colon', { injection_header: 'X-A:', injection_format: '{token}' }],
    ['a header that frames', { injection_header: 'Content-Length', injection_format: '{token}' }],
    ['a format with a line end', { injection_header: 'X-A', injection_format: '{token}\r\nX-B: y' }],
    ['a format with NUL', { injection_header: 'X-A', injection_format: '{token}\0' }],
  ])('and so is a rule about it: %s', async (_, rule) => {
    await store({ credential_value: 'fine', credential_type: 'header_key', ...rule }, [422]);
  });

  it('is let in where it is only odd: quotes, commas, semicolons, spaces within', async () => {
    await store({ credential_value: 'a"b,c;d e=f+g/h%0d%0a\tb' }, [201]);
    const rule = { injection_header: 'X-A', injection_format: 'Key {token}' };
    await store({ credential_value: 'fine', credential_type: 'header_key', ...rule }, [201]);
  });
});
