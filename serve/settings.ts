import { readFileSync } from 'node:fs';
import { type Config, fileSettingNames, parseConfig } from '../core/config.ts';
import { AlterError, type Problem, toAlterError } from '../core/errors.ts';

/**
 * Brings the settings together: the YAML file first, the environment over it, `NAME_FILE` read from its file. Throws
 * `config_invalid` with every problem of every source at once.
 */
export async function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  configFile: string | undefined,
): Promise<Config> {
  const problems: Problem[] = [];
  const values: Record<string, string | undefined> = {
    ...(configFile === undefined ? {} : await readYaml(configFile, problems)),
  };
  for (const [name, value] of Object.entries(env))
    if (name.startsWith('ALTER_') && value !== undefined) values[name] = value;
  for (const name of fileSettingNames) {
    const path = values[`${name}_FILE`];
    if (path === undefined) continue;
    delete values[`${name}_FILE`];
    if (values[name] !== undefined)
      problems.push({ field: `${name}_FILE`, message: `is given together with ${name}: give one of them` });
    else values[name] = readValue(name, path, problems);
  }
  try {
    const config = parseConfig(values);
    if (problems.length === 0) return config;
  } catch (error) {
    problems.push(...(toAlterError(error).problems ?? []));
  }
  throw new AlterError('config_invalid', { problems });
}

function readValue(name: string, path: string, problems: Problem[]): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    problems.push({
      field: `${name}_FILE`,
      message: `names a file that can't be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}): ${path}`,
    });
    return undefined;
  }
}

async function readYaml(path: string, problems: Problem[]): Promise<Record<string, string>> {
  const { parse } = await import('yaml'); // most services have no such file
  let document: unknown;
  try {
    document = parse(readFileSync(path, 'utf8'), { maxAliasCount: 0 });
  } catch (error) {
    problems.push({
      field: '--config',
      message: `${path} can't be read as YAML: ${(error as Error).message.split('\n')[0]}`,
    });
    return {};
  }
  if (document === null) return {};
  if (typeof document !== 'object' || Array.isArray(document)) {
    problems.push({ field: '--config', message: `${path} must hold settings, one a line: ALTER_NAME: value` });
    return {};
  }
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(document)) {
    if (!name.startsWith('ALTER_'))
      problems.push({ field: name, message: `in ${path} is not a setting: their names begin with ALTER_` });
    else if (Array.isArray(value) && value.every((item) => typeof item === 'string')) values[name] = value.join(',');
    else if (typeof value === 'string' || typeof value === 'number') values[name] = String(value);
    else problems.push({ field: name, message: `in ${path} must be a text, a number or a list of texts` });
  }
  return values;
}
