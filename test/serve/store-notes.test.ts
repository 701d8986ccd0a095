import { expect, it } from '@jest/globals';
import { Rig } from '../support/rig.ts';

it('says at the start, as a warning, what the settings of its Redis server can lose', async () => {
  const rig = await Rig.open({ store: 'redis' });
  const lines = rig.logText
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { level: string | number; message: string });
  const said = lines.filter(({ message }) => message.startsWith('Redis at 127.0.0.1:'));
  expect(said.map(({ message }) => message.replace(/^Redis at \S+ /, ''))).toEqual([
    expect.stringMatching(/^everything is lost when the server ends/),
    expect.stringMatching(/^its memory has no limit/),
    expect.stringMatching(/^it has no replicas/),
  ]);
  expect(new Set(said.map(({ level }) => level)).size).toBe(2);
  await rig.close();
});
