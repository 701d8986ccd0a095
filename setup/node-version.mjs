/**
 * Whether a version of Node (`v24.15.0`) is in a range as package.json has it under `engines`: alternatives of `^a.b.c`
 * and `>=a`. It is here a second time, beside core/node-version.ts, because this one runs before anything is installed
 * or built; a test holds the two together.
 *
 * @param {string} version
 * @param {string} range
 */
export function isSupportedNode(version, range) {
  const actual = parse(version);
  return range.split('||').some((alternative) => {
    const [, operator, text] = /^\s*(\^|>=)([\d.]+)\s*$/.exec(alternative) ?? [];
    if (text === undefined) throw new Error(`engines.node has an alternative that is not understood: ${alternative}`);
    const least = parse(text);
    return compare(actual, least) >= 0 && (operator === '>=' || actual[0] === least[0]);
  });
}

/** @param {string} text */
function parse(text) {
  const [major = 0, minor = 0, patch = 0] = text
    .replace(/^v/, '')
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return [major, minor, patch];
}

/** @param {number[]} a @param {number[]} b */
function compare(a, b) {
  const index = a.findIndex((part, at) => part !== b[at]);
  return index === -1 ? 0 : a[index] - b[index];
}
