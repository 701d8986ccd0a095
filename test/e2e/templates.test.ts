import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { templates } from '../../core/catalogue.ts';
import { Rig } from '../support/rig.ts';
import { mustOpen } from '../support/tunnel-client.ts';

const token = 'value-4c1e9d';
const basic = `Authorization: Basic ${btoa('name-77:word-88')}`;

/** What goes in besides "Authorization: Bearer" and "Basic": written down from the providers' documentation, not from the code. */
const forms: Readonly<Record<string, readonly string[]>> = {
  openai: [
    `Authorization: Bearer ${token}`,
    'OpenAI-Organization: field-organization',
    'OpenAI-Project: field-project',
  ],
  anthropic: [`x-api-key: ${token}`, 'anthropic-version: 2023-06-01'],
  'google-gemini': [`x-goog-api-key: ${token}`],
  'azure-openai': [`api-key: ${token}`],
  elevenlabs: [`xi-api-key: ${token}`],
  deepgram: [`Authorization: Token ${token}`],
  assemblyai: [`Authorization: ${token}`],
  exa: [`x-api-key: ${token}`],
  browserbase: [`X-BB-API-Key: ${token}`],
  'brave-search': [`X-Subscription-Token: ${token}`],
  serpapi: [`?api_key=${token}`],
  pinecone: [`Api-Key: ${token}`],
  qdrant: [`api-key: ${token}`],
  typesense: [`X-TYPESENSE-API-KEY: ${token}`],
  algolia: [`X-Algolia-API-Key: ${token}`, 'X-Algolia-Application-Id: field-application_id'],
  elasticsearch: [`Authorization: ApiKey ${token}`],
  clickhouse: [`Authorization: Basic ${token}`],
  couchdb: [`Authorization: Basic ${token}`],
  influxdb: [`Authorization: Token ${token}`],
  'neon-sql': [`Neon-Connection-String: ${token}`],
  snowflake: [`Authorization: Bearer ${token}`, 'X-Snowflake-Authorization-Token-Type: PROGRAMMATIC_ACCESS_TOKEN'],
  'astra-db': [`X-Cassandra-Token: ${token}`],
  supabase: [`apikey: ${token}`, `Authorization: Bearer ${token}`],
  planetscale: [`Authorization: field-token_id:${token}`],
  shopify: [`X-Shopify-Access-Token: ${token}`],
  recharge: [`X-Recharge-Access-Token: ${token}`, 'X-Recharge-Version: 2021-11'],
  adyen: [`X-API-Key: ${token}`],
  postmark: [`X-Postmark-Server-Token: ${token}`],
  brevo: [`api-key: ${token}`],
  klaviyo: [`Authorization: Klaviyo-API-Key ${token}`, 'revision: 2024-10-15'],
  discord: [`Authorization: Bot ${token}`],
  gitlab: [`PRIVATE-TOKEN: ${token}`],
  circleci: [`Circle-Token: ${token}`],
  datadog: [`DD-API-KEY: ${token}`, 'DD-APPLICATION-KEY: field-application_key'],
  'new-relic': [`Api-Key: ${token}`],
  honeycomb: [`X-Honeycomb-Team: ${token}`],
  axiom: [`Authorization: Bearer ${token}`, 'X-Axiom-Org-Id: field-org_id'],
  pagerduty: [`Authorization: Token token=${token}`],
  opsgenie: [`Authorization: GenieKey ${token}`],
  statuspage: [`Authorization: OAuth ${token}`],
  launchdarkly: [`Authorization: ${token}`],
  linear: [`Authorization: ${token}`],
  shortcut: [`Shortcut-Token: ${token}`],
  clickup: [`Authorization: ${token}`],
  trello: ['?key=field-api_key', `?token=${token}`],
  figma: [`X-Figma-Token: ${token}`],
  pipedrive: [`x-api-token: ${token}`],
  okta: [`Authorization: SSWS ${token}`],
  'google-maps': [`X-Goog-Api-Key: ${token}`],
  mapbox: [`?access_token=${token}`],
  openweathermap: [`?appid=${token}`],
  'alpha-vantage': [`?apikey=${token}`],
  newsapi: [`X-Api-Key: ${token}`],
  rapidapi: [`X-RapidAPI-Key: ${token}`],
  coinmarketcap: [`X-CMC_PRO_API_KEY: ${token}`],
  deepl: [`Authorization: DeepL-Auth-Key ${token}`],
};

describe('templates', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.open({ sinks: ['a.test'] });
  });
  afterAll(() => rig?.close());

  const create = (body: object, expected: readonly number[] = [201]) =>
    rig.admin<Record<string, unknown>>('POST', '/managed-secrets', body, expected);

  it('send the credential to the upstream of every provider in the form that it asks for, and nothing else', async () => {
    const { key } = await rig.mintKey();
    await rig.storeSecret({ hosts: [rig.authorityOf()] }); // so that the proxy looks into the tunnel from the start
    const { socket, reader } = await mustOpen({
      ...{ proxyPort: rig.proxyPort, target: rig.authorityOf(), key, user: 'x', headers: [] },
      ...{ serverName: 'a.test', ca: rig.service.authorityPem },
    });
    const injected = templates.filter(({ credentialType }) => credentialType !== 'aws_sig_v4');
    expect(injected.length).toBeGreaterThan(100);
    const wrong: object[] = [];
    for (const template of injected) {
      const isBasic = template.credentialType === 'basic_auth';
      const fields = (template.fields ?? []).map(({ name }) => [name, `field-${name}`]);
      const secret = await create({
        name: template.name,
        template: template.id,
        ...(isBasic ? {} : { credential_value: token }),
        ...(isBasic || fields.length > 0
          ? {
              credentials: {
                ...(isBasic ? { username: 'name-77', password: 'word-88' } : {}),
                ...Object.fromEntries(fields),
              },
            }
          : {}),
      });
      if (secret.template !== template.id || String(secret.allowed_hosts) !== String(template.allowedHosts))
        wrong.push(secret);
      await rig.admin('PUT', `/managed-secrets/${String(secret.id)}/allowed-hosts`, { hosts: [rig.authorityOf()] });

      rig.sink().forget();
      socket.write(
        `GET /p?q=1 HTTP/1.1\r\nHost: ${rig.authorityOf()}\r\nX-Alter-Grant: ${String(secret.grant_id)}\r\n\r\n`,
      );
      const { status } = await reader.next();
      const expected = forms[template.id] ?? (isBasic ? [basic] : [`Authorization: Bearer ${token}`]);
      const query = expected.filter((line) => line.startsWith('?')).map((line) => `&${line.slice(1)}`);
      const headers = expected.filter((line) => !line.startsWith('?'));
      const seen = rig.sink().requests[0];
      const received: string[] = [];
      for (let i = 0; i < (seen?.rawHeaders.length ?? 0); i += 2) {
        const [name, value] = [seen!.rawHeaders[i]!, seen!.rawHeaders[i + 1]!];
        if (!/^(?:host|connection)$/i.test(name)) received.push(`${name}: ${value}`);
      }
      const isSame =
        status === 200 && seen?.url === `/p?q=1${query.join('')}` && received.join('\n') === headers.join('\n');
      if (!isSame) wrong.push({ id: template.id, status, url: seen?.url, received, expected });
    }
    socket.destroy();
    expect(wrong).toEqual([]);
    expect(Object.keys(forms).filter((id) => !injected.some((template) => template.id === id))).toEqual([]);
  });

  it('fill in a secret for AWS, whose requests are signed', async () => {
    const credentials = { access_key_id: 'AKIDEXAMPLE', secret_access_key: 'example' };
    const secret = await create({ name: 'Uploads', template: 'aws', credentials });
    expect(secret).toMatchObject({
      template: 'aws',
      credential_type: 'aws_sig_v4',
      allowed_hosts: ['*.amazonaws.com'],
      injection_rules: [],
    });
  });

  it('give way to what the request says itself', async () => {
    const secret = await create({
      ...{ name: 'Own', template: 'datadog', credential_value: token, injection_header: 'X-Own', allowed_hosts: [] },
      injection_rules: [{ target: 'query', name: 'k', format: '{token}' }],
    });
    expect(secret).toMatchObject({
      ...{ template: 'datadog', credential_type: 'header_key', injection_header: 'X-Own', injection_format: '{token}' },
      ...{ injection_rules: [{ target: 'query', name: 'k', format: '{token}' }], allowed_hosts: [] },
    });
    const typed = await create({
      name: 'Lab',
      template: 'gitlab',
      credential_type: 'bearer_token',
      credential_value: token,
    });
    expect(typed).toMatchObject({ credential_type: 'bearer_token', injection_header: 'PRIVATE-TOKEN' });
    const keyed = await create({
      name: 'Maps',
      template: 'mapbox',
      injection_header: 'X-Key',
      credential_value: token,
    });
    expect(keyed).toMatchObject({ injection_header: 'X-Key', injection_format: '{token}' });
  });

  it('add an optional header only where the credential has its field', async () => {
    const without = await create({ name: 'One', template: 'datadog', credential_value: token });
    expect(without.injection_rules).toEqual([]);
    const half = await create({
      ...{ name: 'Two', template: 'openai', credential_value: token, credentials: { project: 'p' } },
    });
    expect(half.injection_rules).toEqual([{ target: 'header', name: 'OpenAI-Project', format: '{project}' }]);
  });

  it.each([
    ['an unknown template', { template: 'nobody', credential_value: token }, ['template']],
    ['an empty template', { template: '', credential_value: token }, ['template']],
    ['a template that is no text', { template: 7, credential_value: token }, ['template']],
    ['a field that is missing', { template: 'algolia', credential_value: token }, ['credentials.application_id']],
    ['two that are missing', { template: 'planetscale' }, ['credential_value', 'credentials.token_id']],
    [
      'no header and no rule',
      { credential_value: token, injection_header: null, injection_format: null },
      ['injection_header'],
    ],
    ['a header without a format', { credential_value: token, injection_format: null }, ['injection_format']],
    [
      'a format without a header',
      { credential_value: token, injection_header: null, injection_format: '{token}' },
      ['injection_format'],
    ],
    [
      'a wrong rule without a header before it',
      { template: 'mapbox', credential_value: token, injection_rules: [{ target: 'query', name: 'k', format: '{x}' }] },
      ['injection_rules[0].format'],
    ],
  ])('refuse %s with 422 and the name of the field', async (_, body, fields) => {
    const problem = await create({ name: 'Refused', ...body }, [422]);
    expect((problem.problems as { field: string }[]).map(({ field }) => field)).toEqual(fields);
  });

  it('leave a secret that can be changed: a header added, and taken away again', async () => {
    const { id } = await create({ name: 'Weather', template: 'openweathermap', credential_value: token });
    const change = (body: object, expected = [200]) =>
      rig.admin('PATCH', `/managed-secrets/${String(id)}`, body, expected);
    expect(await change({ description: 'of the harbour' })).toMatchObject({ injection_header: null });
    expect(await change({ injection_header: 'X-Key' })).toMatchObject({ injection_format: '{token}' });
    expect(await change({ injection_header: null })).toMatchObject({ injection_format: null });
    expect(await change({ injection_rules: [] }, [422])).toMatchObject({ code: 'validation_failed' });
    await rig.admin('POST', `/managed-secrets/${String(id)}/rotate`, { credential_value: 'next' });
  });

  it('are listed, and found by id, name and host', async () => {
    const list = (query = '') => rig.admin<{ items: { id: string }[]; total: number }>('GET', `/v1/templates${query}`);
    expect((await list()).total).toBe(templates.length);
    expect((await list('?limit=2&offset=1')).items.map(({ id }) => id)).toEqual(['anthropic', 'google-gemini']);
    for (const search of ['brave-sea', 'Brave%20S', 'search.brave'])
      expect((await list(`?search=${search}`)).items).toMatchObject([
        { id: 'brave-search', injection_header: 'X-Subscription-Token', auth_form_checked: true, fields: [] },
      ]);
  });
});
