import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { dashboardScopes } from '../../core/access-token.ts';
import { type AdminRig, startAdminRig } from '../admin/admin-rig.ts';
import { Random } from '../support/mutate.ts';

/**
 * Five apps at once, each with a token of its own, do whatever comes to mind with their own objects and with those of the
 * others, which have the same names. ALTER_CROSSED_APPS is how many operations each does, ALTER_CROSSED_APPS_SEED the seed.
 */
const rounds = Number(process.env.ALTER_CROSSED_APPS ?? 60);
const seed = Number(process.env.ALTER_CROSSED_APPS_SEED ?? Date.now() % 2 ** 31);

/** Where a kind stands, what of it is changed, how it is made and how it ends. */
const kinds = {
  'managed-secrets': {
    field: 'description',
    make: (name: string) => ({ name, credential_value: 'v' }),
    ends: 'DELETE',
  },
  agents: { field: 'display_name', make: (name: string) => ({ name }), ends: 'POST' },
  keys: { field: 'name', make: (name: string) => ({ name, scopes: ['proxy:execute'] }), ends: 'POST' },
  grants: { field: 'label', make: (label: string) => ({ principal_type: 'system', label }), ends: 'POST' },
} as const;
type Kind = keyof typeof kinds;
const kindNames = Object.keys(kinds) as Kind[];

interface Known {
  readonly kind: Kind;
  readonly id: string;
  value: string | null;
  /** Of a grant. */
  readonly secretId: string | null;
}

interface Tenant {
  readonly appId: string;
  readonly token: string;
  readonly random: Random;
  /** What stands in the app, as plainly as can be. */
  readonly model: Map<string, Known>;
}

let rig: AdminRig;
const tenants: Tenant[] = [];

beforeAll(async () => {
  rig = await startAdminRig();
  for (let index = 0; index < 5; index += 1) {
    const { id } = (await rig.vault.apps.create({ name: `tenant-${index}` })).value;
    const { plaintext } = await rig.issuePat(dashboardScopes, { appId: id });
    tenants.push({ appId: id, token: plaintext, random: new Random(seed + index), model: new Map() });
  }
});
afterAll(() => rig.close());

async function operate(tenant: Tenant, round: number): Promise<void> {
  const { random, model, appId, token } = tenant;
  const send = (method: string, path: string, body?: object) =>
    rig.send(method, `/v1/apps/${path}`, { token, ...(body === undefined ? {} : { body }) });
  const other = random.pick(tenants.filter((one) => one !== tenant));
  const told = (what: string, status: number): string => `${what} ${status}`;

  if (random.below(3) === 0 || model.size < 4) {
    const kind = random.pick(kindNames);
    const { make, field } = kinds[kind];
    const name = `object-${round}`;
    const secret = random.pick([...model.values()].filter((one) => one.kind === 'managed-secrets'));
    if (kind === 'grants' && secret === undefined) return;
    const place = kind === 'grants' ? `managed-secrets/${secret!.id}/grants` : kind;
    if (random.below(4) === 0) {
      const answer = await send('POST', `${other.appId}/${place}`, make(name));
      expect(told('making in another app', answer.status)).toBe(told('making in another app', 404));
      return;
    }
    const { status, json } = await send('POST', `${appId}/${place}`, make(name));
    expect([kind, status]).toEqual([kind, 201]);
    const id = json.grant_id !== undefined && kind === 'grants' ? json.grant_id : json.id;
    const value = field in json ? json[field] : null;
    model.set(id, { kind, id, value, secretId: kind === 'grants' ? secret!.id : null });
    if (kind === 'managed-secrets')
      model.set(json.grant_id, { kind: 'grants', id: json.grant_id, value: 'default', secretId: id });
    return;
  }

  const isForeign = random.below(2) === 0 && other.model.size > 0;
  const object = random.pick([...(isForeign ? other : tenant).model.values()]);
  const { field, ends } = kinds[object.kind];
  const inApp = isForeign && random.below(2) === 0 ? other.appId : appId;
  const path = `${inApp}/${object.kind}/${object.id}`;
  const value = `value-${round}`;
  const deed = random.pick(['read', 'read', 'change', 'change', 'end'] as const);
  const answer =
    deed === 'read'
      ? await send('GET', path)
      : deed === 'change'
        ? await send('PATCH', path, { [field]: value })
        : await send(ends, ends === 'DELETE' ? path : `${path}/revoke`, ends === 'DELETE' ? undefined : {});
  const named = `${deed} ${isForeign ? 'foreign' : 'own'} ${object.kind}`;
  if (isForeign) {
    expect(told(named, answer.status)).toBe(told(named, 404));
    expect(answer.text).not.toContain(object.value ?? object.id);
    return;
  }
  expect([named, Math.floor(answer.status / 100), answer.text]).toEqual([named, 2, expect.anything()]);
  if (deed === 'read') expect(answer.json[field] ?? null).toBe(object.value);
  else if (deed === 'change') object.value = value;
  else {
    model.delete(object.id);
    for (const one of model.values()) if (one.secretId === object.id) model.delete(one.id);
  }
}

it(`five apps that do as they like change nothing of each other (seed ${seed}, ${rounds} operations each)`, async () => {
  await Promise.all(
    tenants.map(async (tenant) => {
      for (let round = 0; round < rounds; round += 1) await operate(tenant, round);
    }),
  );
  let compared = 0;
  for (const { appId, model, token } of tenants) {
    const found: string[] = [];
    for (const kind of kindNames)
      for (let offset = 0, isMore = true; isMore; offset += 1000) {
        const { json } = await rig.send('GET', `/v1/apps/${appId}/${kind}?limit=1000&offset=${offset}`, { token });
        for (const one of json.items)
          if (one.status === 'active' || kind === 'managed-secrets')
            found.push(`${kind} ${one.grant_id ?? one.id} ${one[kinds[kind].field] ?? null}`);
        isMore = json.items.length === 1000;
      }
    const expected = [...model.values()].map(({ kind, id, value }) => `${kind} ${id} ${value}`);
    compared += expected.length;
    expect(found.toSorted()).toEqual(expected.toSorted());
  }
  expect(compared).toBeGreaterThan(rounds / 10);
}, 600_000);
