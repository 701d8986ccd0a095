import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/in-parallel.ts';
import { Rig } from '../support/rig.ts';

describe('/readyz', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.open({ store: 'redis', settings: { ALTER_MAX_STALENESS: '1s' } });
  });
  afterAll(() => rig?.close());

  const ask = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${rig.service.ops.port}/readyz`);
    return `${response.status} ${(await response.text()).trim()}`;
  };

  it('is off while the store has not been heard of for longer than ALTER_MAX_STALENESS, and on again when it is back', async () => {
    expect(await ask()).toBe('200 ok');
    rig.redis!.pause();
    try {
      await eventually(async () => (await ask()) === '503 store', 5_000);
    } finally {
      rig.redis!.resume();
    }
    await eventually(async () => (await ask()) === '200 ok', 5_000);
  });
});
