import { usageFailure } from './failure.ts';
import { printable, printableJson } from './printable.ts';
import { type Column, formatTable } from './table.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export const outputFormats = ['table', 'json', 'jsonl'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** A column of a list: the field of the item that it shows. */
export interface FieldColumn {
  readonly field: string;
  /** Where the name of the field is longer than what is in it. */
  readonly header?: string;
  readonly keep?: boolean;
}

export interface Presentation {
  readonly format: OutputFormat;
  /** `--fields`, or null for all. */
  readonly fields: readonly string[] | null;
  /** Cells of the terminal; null in a pipe. */
  readonly maxWidth: number | null;
}

/** One object: indented JSON, one line of JSON, or a line a field. Throws a usage failure for a field that it has not. */
export function presentObject(object: JsonObject, how: Presentation): string {
  const chosen = project(object, how.fields);
  if (how.format === 'json') return `${printableJson(chosen, 2)}\n`;
  if (how.format === 'jsonl') return `${printableJson(chosen, 0)}\n`;
  const names = Object.keys(chosen);
  const width = Math.max(0, ...names.map((name) => name.length));
  return names.map((name) => `${printable(name).padEnd(width)}  ${printable(cell(chosen[name]))}\n`).join('');
}

/** A page of a list. JSON keeps the page around its items; jsonl is an item a line; a table has `columns`, or `--fields`. */
export function presentItems(
  page: JsonObject,
  items: readonly JsonObject[],
  columns: readonly FieldColumn[],
  how: Presentation,
): string {
  if (how.format === 'json')
    return `${printableJson({ ...page, items: items.map((item) => project(item, how.fields)) }, 2)}\n`;
  if (how.format === 'jsonl') return items.map((item) => `${printableJson(project(item, how.fields), 0)}\n`).join('');
  if (items.length === 0) return '';
  const shown: readonly FieldColumn[] = how.fields?.map((field) => ({ field })) ?? columns;
  const table: Column[] = shown.map(({ field, header, keep }) => ({
    header: header ?? field.replaceAll('_', ' ').toUpperCase(),
    ...(keep === undefined ? {} : { keep }),
  }));
  const rows = items.map((item) => {
    const chosen = how.fields === null ? item : project(item, how.fields);
    return shown.map(({ field }) => cell(chosen[field]));
  });
  return formatTable(table, rows, how.maxWidth);
}

/** `a,b` as a list. Throws a usage failure where there is none in it. */
export function parseFieldNames(text: string): readonly string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0)
    throw usageFailure('--fields names no field.', 'Give names joined by commas: --fields id,name');
  return names;
}

function project(object: JsonObject, fields: readonly string[] | null): JsonObject {
  if (fields === null) return object;
  const unknown = fields.find((name) => !Object.hasOwn(object, name));
  if (unknown !== undefined)
    throw usageFailure(
      `--fields: there is no field "${unknown}".`,
      `The fields are ${Object.keys(object).join(', ')}.`,
    );
  return Object.fromEntries(fields.map((name) => [name, object[name]]));
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value) && value.every((entry) => typeof entry !== 'object'))
    return value.length === 0 ? '-' : value.join(', ');
  return JSON.stringify(value);
}
