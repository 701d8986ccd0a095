import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

const canary = `canary-${'5e1d'.repeat(8)}`;
let rig: AdminRig;
beforeAll(async () => {
  rig = await startAdminRig();
  const body = { name: 'One', credential_value: canary };
  await rig.send('POST', `/v1/apps/${rig.app.id}/managed-secrets`, { body });
});
afterAll(() => rig.close());

it('no command prints a credential or the token of the operator, however much it is asked to tell', async () => {
  const env = {
    ...{ ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id },
    ...{ DEBUG: '*', NODE_DEBUG: 'http,net,tls', OCLIF_DEBUG: '1' },
  };
  const commands: readonly (readonly [words: readonly string[], stdin?: string])[] = [
    [['managed-secrets', 'list', '--output', 'json']],
    [['managed-secrets', 'show', 'one']],
    [['managed-secrets', 'access', 'one']],
    [['managed-secrets', 'rotate', 'one', '--credential-value', '-'], `${canary}\n`],
    [['managed-secrets', 'create', '--name', 'Two', '--credential-value', '-', '--output', 'jsonl'], `${canary}\n`],
    [['managed-secrets', 'create', '--name', 'Three', '--label', '', '--credential-value', '-'], `${canary}\n`],
    [['audit', 'list', '--output', 'json']],
    [['managed-secrets', 'show', 'nothing', '--output', 'json']],
  ];
  const ended = await Promise.all(
    commands.map(([words, stdin]) => alter(words, { env, ...(stdin === undefined ? {} : { stdin }) })),
  );
  expect(ended.map(({ code }) => code).slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
  for (const [index, { stdout, stderr }] of ended.entries()) {
    const [words] = commands[index]!;
    for (const secret of [
      canary,
      Buffer.from(canary).toString('base64').slice(0, 20),
      Buffer.from(canary).toString('hex'),
    ])
      expect([words, `${stdout}${stderr}`.includes(secret)]).toEqual([words, false]);
    expect([words, stdout.includes(rig.operator.plaintext)]).toEqual([words, false]);
  }
});
