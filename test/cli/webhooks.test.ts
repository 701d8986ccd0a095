import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

let rig: AdminRig;
beforeAll(async () => {
  rig = await startAdminRig();
});
afterAll(() => rig.close());

const run = (...words: string[]) =>
  alter(['webhooks', ...words], {
    env: { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id },
  });

it('webhooks are made, listed, changed, tested and deleted, and their secret is shown once', async () => {
  const url = 'https://hook.example.com/in';
  const created = await run(
    'create',
    '--name',
    'ops',
    '--url',
    url,
    '--event',
    'key.*,secret.rotated',
    '--event',
    'agent.*',
  );
  expect(created).toMatchObject({ code: 0, stderr: '' });
  const { id, secret, events, decision } = JSON.parse(created.stdout);
  expect([secret, events, decision]).toEqual([
    expect.stringMatching(/^whsec_[\w+/]{43}=$/),
    ['key.*', 'secret.rotated', 'agent.*'],
    null,
  ]);
  const [list, updated, tested] = await Promise.all([
    run('list'),
    run('update', id, '--no-enabled', '--decision', 'deny'),
    run('test', id),
  ]);
  expect(list.stdout).toMatch(/ops +https:\/\/hook\.example\.com\/in/);
  expect(list.stdout).not.toContain('whsec_');
  expect(JSON.parse(updated.stdout)).toMatchObject({ id, enabled: false, status: 'disabled', decision: 'deny' });
  // This service has nothing to reach an endpoint with.
  expect([tested.code, JSON.parse(tested.stdout)]).toEqual([
    1,
    { delivered: false, status: null, error: 'upstream_refused' },
  ]);
  expect(tested.stderr).toContain('The endpoint gave no answer: upstream_refused.');
  const [unnamed, unknown, missing] = await Promise.all([
    run('delete', id, '--confirm', 'other'),
    run('create', '--name', 'x', '--url', url, '--event', 'no.such'),
    run('create', '--name', 'x', '--url', url),
  ]);
  expect([unnamed.code, unknown.code, missing.code]).toEqual([5, 2, 2]);
  expect(missing.stderr).toContain('--event is missing');
  expect(await run('delete', id, '--confirm', 'ops')).toMatchObject({ code: 0 });
  expect(await run('show', id)).toMatchObject({ code: 4 });
});
