/**
 * Why this version of Node (`24.15.0`, or `v24.15.0` as in `process.version`) can't run the product, in words for the person who started it, or null where it can.
 * The supported ones are `^22.22.2 || ^24.15.0 || >=26`; odd majors never become long-term releases.
 */
export function nodeVersionProblem(version: string): string | null {
  const [major = 0, minor = 0, patch = 0] = version
    .replace(/^v/, '')
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  const isSupported =
    (major === 22 && (minor > 22 || (minor === 22 && patch >= 2))) || (major === 24 && minor >= 15) || major >= 26;
  if (isSupported) return null;
  return `Node.js ${version.replace(/^v/, '')} is not supported: Alter Egress needs 22.22.2 or later of 22, 24.15 or later of 24, or 26 and newer.`;
}
