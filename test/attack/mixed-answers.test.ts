import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Random } from '../support/mutate.ts';
import { Rig } from '../support/rig.ts';
import { basic, mustOpen } from '../support/tunnel-client.ts';

/*
 * What the upstreams of many callers send is read into one piece of memory. A byte of one answer in another one would be
 * somebody else's data, so every answer is its own to the last byte: whatever comes at once, in whatever pieces, and however
 * slowly some callers read. MIXED_ANSWERS is how many each caller gets, MIXED_ANSWERS_SEED repeats a run.
 */
const rounds = Number(process.env.MIXED_ANSWERS ?? 12);
const seed = Number(process.env.MIXED_ANSWERS_SEED ?? Date.now() % 2 ** 31);
const callers = 24;

/** Bytes that no other answer has: each line names it. */
function bodyOf(name: string, bytes: number): Buffer {
  const line = `${createHash('sha256').update(name).digest('hex')} ${name}\n`;
  return Buffer.from(line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes), 'latin1');
}

/** To `/caller/round/bytes/pieces`. */
async function answer(url: string, response: ServerResponse): Promise<void> {
  const [, caller, round, bytes, pieces] = url.split('/');
  const body = bodyOf(`${caller} ${round}`, Number(bytes));
  const size = Math.max(1, Math.ceil(body.length / Number(pieces)));
  for (let at = 0; at < body.length; at += size) {
    response.write(body.subarray(at, at + size));
    await new Promise((next) => setImmediate(next));
  }
  response.end();
}

describe(`answers of many upstream connections at once (seed ${seed})`, () => {
  let rig: Rig;
  const random = new Random(seed);

  beforeAll(async () => {
    rig = await Rig.open();
    rig.sink().answer = ({ url = '' }, response) => void answer(url, response);
  });
  afterAll(() => rig?.close());

  it('are each the caller’s own to the last byte', async () => {
    const target = rig.authorityOf();
    const { grantId } = await rig.storeSecret({ hosts: [target] });
    const plans = Array.from({ length: callers }, () =>
      Array.from({ length: rounds }, () => ({
        bytes: random.pick([0, 1, 1_000, 16_384, 16_385, 70_000, 400_000]),
        pieces: random.pick([1, 3, 40]),
        isSlow: random.below(4) === 0,
      })),
    );
    await Promise.all(
      plans.map(async (plan, caller) => {
        const { key } = await rig.mintKey();
        const { socket, reader } = await mustOpen({
          ...{ proxyPort: rig.proxyPort, target, key, serverName: 'a.test', ca: rig.service.authorityPem },
          headers: [`X-Test: ${basic('caller', String(caller))}`],
        });
        for (const [round, { bytes, pieces, isSlow }] of plan.entries()) {
          const head = [`GET /${caller}/${round}/${bytes}/${pieces} HTTP/1.1`, `Host: ${target}`];
          socket.write(`${head.join('\r\n')}\r\nX-Alter-Grant: ${grantId}\r\n\r\n`);
          if (isSlow) {
            socket.pause();
            await sleep(30);
            socket.resume();
          }
          const { status, body, cut } = await reader.next();
          expect([status, cut]).toEqual([200, false]);
          expect(body === bodyOf(`${caller} ${round}`, bytes).toString('latin1')).toBe(true);
        }
        socket.destroy();
      }),
    );
    expect(rig.sink().accepts).toBeGreaterThanOrEqual(callers);
  }, 120_000);
});
