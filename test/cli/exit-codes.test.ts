import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { exitCodes } from '../../cli/failure.ts';
import { issueToken } from '../../core/token.ts';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { alter } from './alter.ts';

let rig: AdminRig;
let env: Record<string, string>;
beforeAll(async () => {
  rig = await startAdminRig();
  env = { ALTER_ADMIN_URL: rig.url, ALTER_PAT: rig.operator.plaintext, ALTER_APP_ID: rig.app.id };
});
afterAll(() => rig.close());

const stranger = () => issueToken('pat', Date.now()).plaintext;

/** Provokes each code once, in this order: after the last but one the service has had enough of this address. */
const provoked = new Map<keyof typeof exitCodes | 'done', () => Promise<number | null>>([
  ['done', async () => (await alter(['apps', 'list'], { env })).code],
  [
    'error',
    async () => {
      const other = createServer((_, res) => res.writeHead(200).end('<html>'));
      await new Promise<void>((resolve) => {
        other.listen(0, '127.0.0.1', resolve);
      });
      const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
      const { code } = await alter(['apps', 'list', '--admin-url', url], { env });
      other.close();
      return code;
    },
  ],
  ['usage', async () => (await alter(['apps', 'list', '--limit', 'many'], { env })).code],
  ['notSignedIn', async () => (await alter(['apps', 'list'], { env: { ...env, ALTER_PAT: stranger() } })).code],
  ['notFound', async () => (await alter(['apps', 'show', 'nosuch'], { env })).code],
  ['conflict', async () => (await alter(['apps', 'create', '--name', 'shop'], { env })).code],
  [
    'forbidden',
    async () => {
      const { plaintext } = await rig.issuePat(['dashboard_keys:read']);
      return (await alter(['apps', 'list'], { env: { ...env, ALTER_PAT: plaintext } })).code;
    },
  ],
  [
    'rateLimited',
    async () => {
      for (let i = 0; i < 25; i += 1) await rig.send('GET', '/v1/apps', { token: stranger() });
      return (await alter(['apps', 'list'], { env })).code;
    },
  ],
  ['unreachable', async () => (await alter(['apps', 'list', '--admin-url', 'http://127.0.0.1:9'], { env })).code],
]);

describe('the exit codes', () => {
  it.each([...provoked])('%s is provoked', async (name, provoke) => {
    expect(await provoke()).toBe(name === 'done' ? 0 : exitCodes[name]);
  });

  it('are these, from 0 to 8, and no other', () => {
    expect([...provoked.keys()].sort()).toEqual(['done', ...Object.keys(exitCodes)].sort());
    expect([...Object.values(exitCodes)].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});
