import { describe, expect, it } from '@jest/globals';
import { printable, printableJson } from '../../cli/printable.ts';
import { cellWidth, formatTable } from '../../cli/table.ts';

const columns = [{ header: 'ID', keep: true }, { header: 'NAME' }, { header: 'HOSTS' }];
const rows = [
  ['0190f3c2-7c1e', 'a name', 'api.example.com, api.example.org, *.example.net'],
  ['0190f3c2-7c1f', 'another', '-'],
];

describe('a table', () => {
  it('is aligned in columns, without white space at the end of a line', () => {
    expect(formatTable(columns, rows, null)).toBe(
      'ID             NAME     HOSTS\n' +
        '0190f3c2-7c1e  a name   api.example.com, api.example.org, *.example.net\n' +
        '0190f3c2-7c1f  another  -\n',
    );
  });

  it.each([120, 60, 45, 40, 30, 29])('fits into %d cells', (width) => {
    const lines = formatTable(columns, rows, width).trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(cellWidth(line)).toBeLessThanOrEqual(width);
  });

  it('shortens what is long, but not what is copied', () => {
    expect(formatTable(columns, rows, 45)).toContain('0190f3c2-7c1e  a name   api.example.com, api…\n');
    expect(formatTable(columns, rows, 29)).toContain('0190f3c2-7c1e ');
  });

  it('becomes a block a row where the columns do not fit', () => {
    expect(formatTable(columns, rows, 24)).toBe(
      'ID     0190f3c2-7c1e\nNAME   a name\nHOSTS  api.example.com, api.example.org, *.example.net\n\n' +
        'ID     0190f3c2-7c1f\nNAME   another\nHOSTS  -\n',
    );
  });

  it('counts the cells that a terminal takes for wide and combining characters', () => {
    expect(cellWidth('abc')).toBe(3);
    expect(cellWidth('日本')).toBe(4);
    expect(cellWidth('🔑')).toBe(2);
    expect(cellWidth('e\u0301')).toBe(1);
    const lines = formatTable([{ header: 'A' }, { header: 'B' }], [['日本語の名前です', 'x']], 12).split('\n');
    expect(lines[1]).toContain('…');
    for (const line of lines) expect(cellWidth(line)).toBeLessThanOrEqual(12);
  });

  it('writes control and bidi characters out instead of sending them to the terminal', () => {
    const hostile = 'a\u001b]0;owned\u0007b\r\nc\u202ed\u009b31m\u200b';
    const text = formatTable([{ header: 'NAME' }], [[hostile]], null);
    expect(text).toBe('NAME\na\\x1b]0;owned\\x07b\\x0d\\x0ac\\u{202e}d\\x9b31m\\u{200b}\n');
  });
});

describe('printable text', () => {
  it('leaves letters of every script as they are', () => {
    expect(printable('Straße 日本 עברית 🔑')).toBe('Straße 日本 עברית 🔑');
  });

  it('means the same as JSON when it is JSON', () => {
    const value = { name: 'a\u001b[31m\u202e\u009b\u007f\u{e0041}\u2028\n', list: ['ü'] };
    for (const indent of [0, 2]) {
      const text = printableJson(value, indent);
      expect(JSON.parse(text)).toEqual(value);
      expect(text.replaceAll('\n', '')).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u);
    }
  });
});
