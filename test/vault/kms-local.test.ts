import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { openLocalKms } from '../../vault/kms-local.ts';

const rootKey = randomBytes(32);
const context = Buffer.from('the key of app 1');
const stateInvalid = expect.objectContaining({ code: 'state_invalid' });

describe('the local Kms', () => {
  it('unwraps what was wrapped under the same root key and context, and nothing else', async () => {
    const kms = openLocalKms({ rootKey });
    const appKey = randomBytes(32);
    const wrapped = await kms.wrap(appKey, context);
    expect(Buffer.from(await kms.unwrap(wrapped, context))).toEqual(appKey);
    expect(Buffer.from(await openLocalKms({ rootKey }).unwrap(wrapped, context))).toEqual(appKey);

    await expect(kms.unwrap(wrapped, Buffer.from('the key of app 2'))).rejects.toEqual(stateInvalid);
    await expect(openLocalKms({ rootKey: randomBytes(32) }).unwrap(wrapped, context)).rejects.toEqual(stateInvalid);
    await expect(kms.unwrap(wrapped.subarray(1), context)).rejects.toEqual(stateInvalid);
    await expect(kms.unwrap(new Uint8Array(), context)).rejects.toEqual(stateInvalid);
  });

  it('takes a root key of exactly 32 bytes', () => {
    for (const length of [0, 16, 31, 33, 64]) {
      expect(() => openLocalKms({ rootKey: randomBytes(length) })).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      );
    }
  });
});
