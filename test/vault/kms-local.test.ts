import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { openLocalKms } from '../../vault/keys/kms-local.ts';
import { kmsContract } from '../contract/kms.ts';

kmsContract('a root key of this process', async () => {
  const rootKey = randomBytes(32);
  return {
    kms: openLocalKms({ rootKey }),
    again: openLocalKms({ rootKey }),
    other: openLocalKms({ rootKey: randomBytes(32) }),
    close: async () => {},
  };
});

describe('the local Kms', () => {
  it('takes a root key of exactly 32 bytes', () => {
    for (const length of [0, 16, 31, 33, 64]) {
      expect(() => openLocalKms({ rootKey: randomBytes(length) })).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      );
    }
  });

  it('shows nothing of its key in the id', () => {
    const rootKey = randomBytes(32);
    const { keyId } = openLocalKms({ rootKey });
    for (let at = 0; at < 28; at++) expect(keyId).not.toContain(rootKey.subarray(at, at + 4).toString('hex'));
  });
});
