import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Kms } from '../../vault/keys/kms.ts';

export interface KmsUnderTest {
  readonly kms: Kms;
  /** The same key, as another process would open it. */
  readonly again: Kms;
  /** Another key of the same kind. */
  readonly other: Kms;
  close(): Promise<void>;
}

const context = Buffer.from('the key of app 1');
const stateInvalid = expect.objectContaining({ code: 'state_invalid' });

/** What every adapter of the Kms port keeps to. */
export function kmsContract(name: string, open: () => Promise<KmsUnderTest>): void {
  describe(`the Kms port: ${name}`, () => {
    let under: KmsUnderTest;
    const appKey = randomBytes(32);

    beforeAll(async () => {
      under = await open();
    });
    afterAll(() => under.close());

    it('unwraps what it wrapped, in another process too', async () => {
      const wrapped = await under.kms.wrap(appKey, context);
      expect(Buffer.from(await under.kms.unwrap(wrapped, context))).toEqual(appKey);
      expect(Buffer.from(await under.again.unwrap(wrapped, context))).toEqual(appKey);
      expect(Buffer.from(wrapped).includes(appKey)).toBe(false);
      expect(Buffer.from(wrapped).toString('latin1')).not.toContain(appKey.toString('base64').slice(0, 20));
    });

    it('wraps the same key differently each time', async () => {
      const all = await Promise.all(Array.from({ length: 5 }, () => under.kms.wrap(appKey, context)));
      expect(new Set(all.map((wrapped) => Buffer.from(wrapped).toString('hex'))).size).toBe(5);
    });

    it('refuses another context, another key, and bytes that were changed, cut or made up', async () => {
      const wrapped = Buffer.from(await under.kms.wrap(appKey, context));
      await expect(under.kms.unwrap(wrapped, Buffer.from('the key of app 2'))).rejects.toEqual(stateInvalid);
      await expect(under.kms.unwrap(wrapped, Buffer.alloc(0))).rejects.toEqual(stateInvalid);
      await expect(under.other.unwrap(wrapped, context)).rejects.toEqual(stateInvalid);
      for (let at = 0; at < wrapped.length; at += 3) {
        const changed = Buffer.from(wrapped);
        changed[at]! ^= 1 << (at % 8);
        await expect(under.kms.unwrap(changed, context)).rejects.toEqual(stateInvalid);
      }
      for (const bytes of [wrapped.subarray(1), wrapped.subarray(0, -1), randomBytes(61), Buffer.alloc(0)])
        await expect(under.kms.unwrap(bytes, context)).rejects.toEqual(stateInvalid);
    });

    it('names its key in a word that tells it from another', () => {
      expect(under.kms.keyId).toMatch(/^[a-z]+:[\w-]{8,64}$/);
      expect(under.again.keyId).toBe(under.kms.keyId);
      expect(under.other.keyId).not.toBe(under.kms.keyId);
    });
  });
}
