import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Rig, type StoredSecret } from '../support/rig.ts';

/*
 * CRIME and BREACH: where a credential and bytes of an attacker are compressed together, the length tells how alike they
 * are. The proxy never compresses what it sends on, and never opens what is compressed.
 */
describe('compression', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;

  beforeAll(async () => {
    rig = await Rig.open();
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    key = (await rig.mintKey()).key;
  });
  afterAll(() => rig?.close());

  it('is left to client and upstream: bodies pass byte for byte, and the upstream sees only what the client accepts', async () => {
    const packed = gzipSync('hello '.repeat(1_000));
    rig.sink().answer = (_, res) => {
      res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed);
    };
    const grant = `X-Alter-Grant: ${secret.grantId}`;
    const { stdout } = await rig.curl(
      [
        '-H',
        grant,
        '-w',
        '%{size_download} %header{content-encoding}',
        '-o',
        '/dev/null',
        `https://${rig.authorityOf()}/`,
      ],
      { key },
    );
    expect(stdout).toBe(`${packed.length} gzip`);
    expect(rig.sink().requests[0]?.all('accept-encoding')).toEqual([]);
    await rig.curl(['-H', grant, '--compressed', '-o', '/dev/null', `https://${rig.authorityOf()}/`], { key });
    expect(rig.sink().requests[1]?.all('accept-encoding')).toHaveLength(1);
  });

  it('does not make the length of an upstream request depend on how alike a guess is to the credential', async () => {
    rig.sink().answer = (_, res) => {
      res.end('ok');
    };
    const lengths: number[] = [];
    for (const guess of [secret.canary, 'x'.repeat(secret.canary.length)]) {
      rig.sink().forget();
      await rig.curl(['-H', `X-Alter-Grant: ${secret.grantId}`, `https://${rig.authorityOf()}/?guess=${guess}`], {
        key,
      });
      lengths.push(rig.sink().raw.length);
    }
    expect(lengths[0]).toBeGreaterThan(0);
    expect(lengths[0]).toBe(lengths[1]);
  });
});
