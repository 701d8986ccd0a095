import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alter } from '../cli/alter.ts';
import { eventually } from '../support/in-parallel.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';

/** Within an hour: for so long are leaves backdated, and only the clock of the service is moved here, not that of curl. */
const minuteMs = 60_000;

describe('a rotation of the authority', () => {
  let rig: Rig;
  let secret: StoredSecret;
  let key: string;
  let offsetMs = 0;
  let folder: string;
  let bundleFile: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'alter-bundle-'));
    bundleFile = join(folder, 'bundle.pem');
    rig = await Rig.open({
      store: 'redis',
      clock: () => Date.now() + offsetMs,
      settings: { ALTER_TRUST_BUNDLE_FILE: bundleFile },
    });
    secret = await rig.storeSecret({ hosts: [rig.authorityOf()] });
    ({ key } = await rig.mintKey());
  });
  afterAll(async () => {
    await rig?.close();
    rmSync(folder, { recursive: true });
  });

  const cli = (...words: string[]) =>
    alter(['ca', ...words], { env: { ALTER_ADMIN_URL: rig.service.adminUrl!, ALTER_PAT: rig.pat } });
  const show = async () =>
    JSON.parse((await cli('show')).stdout) as {
      certificate: string;
      fingerprint_sha256: string;
      authorities: { status: string; fingerprint_sha256: string; certificate: string }[];
    };
  /** With these roots only: the status, or 0 where the certificate is not trusted. */
  const use = async (pem: string): Promise<number> => {
    writeFileSync(join(rig.directory, 'roots.pem'), pem);
    const { stdout } = await rig.curl(
      [
        ...['-o', '/dev/null', '-w', '%{http_code}', '--cacert', join(rig.directory, 'roots.pem')],
        '-H',
        `X-Alter-Grant: ${secret.grantId}`,
        `https://${rig.authorityOf()}/`,
      ],
      { key },
    );
    return Number(stdout);
  };

  it('is announced first, signs later, and lets the old one go at the end', async () => {
    const before = await show();
    expect(before.authorities.map(({ status }) => status)).toEqual(['active']);
    expect(await use(before.certificate)).toBe(200);

    expect((await cli('rotate')).code).toBe(2);
    const rotated = await cli('rotate', '--lead', '10m', '--grace', '20m', '--yes');
    expect(rotated.code).toBe(0);
    const announced = await show();
    expect(announced.authorities.map(({ status }) => status)).toEqual(['active', 'next']);
    expect(announced.fingerprint_sha256).toBe(before.fingerprint_sha256);
    const bundle = (await cli('bundle')).stdout;
    for (const { certificate } of announced.authorities) expect(bundle).toContain(certificate.trim());
    const next = announced.authorities[1]!;
    expect([await use(before.certificate), await use(next.certificate)]).toEqual([200, 0]);
    const again = await cli('rotate', '--yes');
    expect([again.code, again.stderr]).toEqual([5, expect.stringContaining('under way')]);

    // The service hears of it by itself, and the file beside the proxy follows.
    await eventually(() => readFileSync(bundleFile, 'utf8').includes(next.certificate.trim()));
    offsetMs = 11 * minuteMs;
    expect([await use(before.certificate), await use(next.certificate), await use(announced.certificate)]).toEqual([
      0, 200, 200,
    ]);
    expect((await show()).authorities.map(({ status }) => status)).toEqual(['active', 'previous']);
    offsetMs = 35 * minuteMs;
    const after = await show();
    expect(after.authorities).toMatchObject([{ status: 'active', fingerprint_sha256: next.fingerprint_sha256 }]);
    expect(rig.service.authorityPem.trim()).toBe(after.certificate.trim());
  });

  it('at once distrusts the old one', async () => {
    const before = await show();
    expect((await cli('rotate', '--now', '--grace', '0', '--yes')).code).toBe(0);
    const after = await show();
    expect(after.authorities).toHaveLength(1);
    expect(after.fingerprint_sha256).not.toBe(before.fingerprint_sha256);
    await eventually(async () => (await use(after.certificate)) === 200);
    expect(await use(before.certificate)).toBe(0);
  });
});
