import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { alter } from '../cli/alter.ts';
import { Rig, type StoredSecret } from '../support/rig.ts';

const rigs: Rig[] = [];
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close();
});

const run = (rig: Rig, ...words: string[]) =>
  alter(words, { env: { ALTER_ADMIN_URL: rig.service.adminUrl!, ALTER_PAT: rig.pat } });

const use = async (rig: Rig, secret: StoredSecret, of: { key: string; grantId?: string }) => {
  const grant = `X-Alter-Grant: ${of.grantId ?? secret.grantId}`;
  const { stdout } = await rig.curl(['-D', '-', '-H', grant, `https://${rig.authorityOf()}/x`], of);
  return /x-alter-error: (\w+)/i.exec(stdout)?.[1] ?? 'ok';
};

describe.each([
  ['sqlite', 'redis'],
  ['redis', 'sqlite'],
] as const)('a backup of %s that is restored into %s', (from, to) => {
  it('lets the workloads of the first life go on, and nothing that was revoked in it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'alter-backup-'));
    const file = join(directory, 'alter.backup');
    try {
      const first = await Rig.open({ store: from });
      rigs.push(first);
      const secret = await first.storeSecret({ hosts: [first.authorityOf()] });
      const { key } = await first.mintKey();
      const revoked = await first.storeSecret({ hosts: [first.authorityOf()] });
      await first.admin('POST', `/grants/${revoked.grantId}/revoke`);
      expect(await use(first, secret, { key })).toBe('ok');
      const created = await run(first, 'backup', 'create', '--file', file);
      expect([created.code, created.stderr]).toEqual([0, expect.stringContaining('records')]);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const text = readFileSync(file, 'latin1');
      for (const canary of first.canaries) expect(text).not.toContain(canary);
      const verified = await run(first, 'backup', 'verify', file);
      expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([0, { apps: 1 }]);
      expect((await run(first, 'backup', 'create', '--app', 'default', '--file', `${file}.one`)).code).toBe(0);
      const one = JSON.parse((await run(first, 'backup', 'verify', `${file}.one`)).stdout) as { app_id: string };
      expect([one.app_id, JSON.parse(verified.stdout).app_id]).toEqual([first.appId, null]);
      const { backup_id: id } = JSON.parse(verified.stdout) as { backup_id: string };

      const second = await Rig.open({ store: to, rootKey: first.rootKey });
      rigs.push(second);
      writeFileSync(`${file}.cut`, text.slice(0, text.trimEnd().lastIndexOf('\n') + 1));
      writeFileSync(
        `${file}.bad`,
        text.replace(/"[\w+/]{60}/, (word) => word.toUpperCase()),
      );
      for (const bad of [`${file}.cut`, `${file}.bad`]) {
        const { code, stderr } = await run(second, 'backup', 'restore', bad, '--confirm', id);
        expect([code, stderr]).toEqual([1, expect.stringContaining('backup')]);
      }
      if (to === 'sqlite') {
        expect((await run(second, 'backup', 'restore', file, '--confirm', 'another')).code).toBe(5);
        expect((await run(second, 'backup', 'restore', '/nowhere', '--confirm', id)).code).toBe(4);
      }
      const restored = await run(second, 'backup', 'restore', file, '--confirm', id);
      expect([restored.code, restored.stderr]).toEqual([0, '']);
      expect(JSON.parse(restored.stdout)).toMatchObject({ skipped: 0, kept: 0 });
      // A backup has no audit, and so nothing that would call the new one broken.
      const audit = await run(second, 'audit', 'verify', '--app', first.appId);
      expect([audit.code, JSON.parse(audit.stdout).intact]).toEqual([0, true]);
      if (to === 'sqlite') expect((await run(second, 'backup', 'restore', file, '--confirm', id)).code).toBe(5); // in use now

      await second.restart();
      expect(second.service.authorityPem).toBe(first.service.authorityPem);
      writeFileSync(second.caFile, second.service.authorityPem);
      const hosts = { hosts: [second.authorityOf()] };
      for (const { id: of } of [secret, revoked])
        await second.admin('PUT', `/v1/apps/${first.appId}/managed-secrets/${of}/allowed-hosts`, hosts);
      expect(await use(second, secret, { key })).toBe('ok');
      expect(second.sink().raw.toString('latin1')).toContain(secret.canary);
      expect(await use(second, revoked, { key })).toBe('grant_revoked');
      expect(second.sink().raw.toString('latin1')).not.toContain(revoked.canary);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
