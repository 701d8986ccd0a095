import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { StateMarks } from '../../vault/guard/state-marks.ts';
import { SpaceKeys } from '../../vault/keys/keyring.ts';

it('writes later what could not be written at first, and tells of it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'alter-marks-'));
  try {
    const path = join(directory, 'volume', 'marks.json');
    const errors: unknown[] = [];
    const marks = new StateMarks({ path, onError: (error) => errors.push(error) });
    const keys = new SpaceKeys('app', Buffer.alloc(32, 1));
    const mark = { era: 1, number: 7, word: 'word' };
    marks.raise(keys, mark);
    await marks.close();
    expect(errors).toEqual([expect.objectContaining({ code: 'ENOENT' })]);
    mkdirSync(join(directory, 'volume'));
    await marks.close();
    expect(new StateMarks({ path }).find(keys)).toEqual(mark);
    expect(errors).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
