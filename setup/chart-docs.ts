/**
 * Writes, as part of `npm run docs`, the table of values in helm/README.md from the comments of helm/values.yaml, and the
 * names of the settings in helm/values.schema.json from core/config.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { settingNames, settingSections } from '../core/config.ts';

/** Settings that the chart gives itself, from the Secrets and the ports of its values. */
const setByChart: readonly string[] = [
  'ALTER_CA_CERT',
  'ALTER_PROXY_LISTEN',
  'ALTER_ADMIN_LISTEN',
  'ALTER_OPS_LISTEN',
  'ALTER_ADMIN_HOSTS',
  'ALTER_PROXY_TLS_CERT',
  'ALTER_PROXY_TLS_CLIENT_CA',
  'ALTER_ADMIN_TLS_CERT',
  'ALTER_DRAIN_TIMEOUT',
  'ALTER_STATE_MARKS_FILE',
  ...settingNames.filter((name) => name.startsWith('ALTER_INJECTOR_')),
];

const start = '<!-- values -->';
const end = '<!-- end of values -->';

export interface ChartValue {
  /** `proxy.service.port`. */
  readonly path: string;
  /** As in values.yaml, but on one line. */
  readonly default: unknown;
  readonly doc: string;
}

/** Every value that has a `# --` line above it. Throws where a value has none, and holds no others that do. */
export function readChartValues(valuesYaml: string): ChartValue[] {
  const { contents } = parseDocument(valuesYaml);
  if (!isMap(contents)) throw new Error('values.yaml must be a map.');
  // The comment above the very first key hangs on the document, together with what introduces the file.
  return readMap(contents, '', docOf(contents.commentBefore));
}

function readMap(map: YAMLMap, prefix: string, docAbove: string | null): ChartValue[] {
  return map.items.flatMap((item, index) => {
    const { key, value } = item as Pair<unknown, unknown>;
    if (!isScalar(key)) throw new Error(`A key below ${prefix} is no text.`);
    const path = `${prefix}${String(key.value)}`;
    const doc = docOf(key.commentBefore) ?? (index === 0 ? docAbove : null);
    if (doc !== null) {
      const plain = isMap(value) || (value !== null && typeof value === 'object' && 'toJSON' in value);
      return [{ path, default: plain ? (value as YAMLMap).toJSON() : value, doc }];
    }
    if (!isMap(value) || value.items.length === 0) throw new Error(`${path} has no line that says what it means.`);
    return readMap(value, `${path}.`, docOf(value.commentBefore));
  });
}

function docOf(comment: string | null | undefined): string | null {
  const line = comment?.split('\n').findLast((text) => text.startsWith(' -- '));
  return line === undefined ? null : line.slice(' -- '.length).trim();
}

/** `readme` with the table of `valuesYaml` between its marks. */
export function renderChartReadme(readme: string, valuesYaml: string): string {
  const rows = readChartValues(valuesYaml).map(
    ({ path, default: value, doc }) => `| \`${path}\` | \`${JSON.stringify(value)}\` | ${doc.replaceAll('|', '\\|')} |`,
  );
  const table = ['| value | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
  const [before, rest] = readme.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`The README must have ${start} and ${end}.`);
  return `${before}${start}\n\n${table}\n\n${end}${after}`;
}

/** `schema` with the settings that a user may give as values, and those that even `extraEnv` may not hold. */
export function renderChartSchema(schema: string): string {
  const secret = settingSections.flatMap(({ settings }) =>
    settings.filter((one) => one.secret).map(({ name }) => name),
  );
  const taken = [...new Set([...setByChart, ...secret])];
  const document = JSON.parse(schema);
  document.properties.settings.properties = Object.fromEntries(
    settingNames.filter((name) => !taken.includes(name)).map((name) => [name, { type: ['string', 'number'] }]),
  );
  document.definitions.environment.items.properties.name.not.enum = taken.flatMap((name) => [name, `${name}_FILE`]);
  return `${JSON.stringify(document, null, 2)}\n`;
}

if (import.meta.main) {
  const file = (name: string): URL => new URL(`../helm/${name}`, import.meta.url);
  const read = (name: string): string => readFileSync(file(name), 'utf8');
  writeFileSync(file('README.md'), renderChartReadme(read('README.md'), read('values.yaml')));
  writeFileSync(file('values.schema.json'), renderChartSchema(read('values.schema.json')));
}
