import type { CpuProfile } from './profile.ts';

interface Frame {
  readonly name: string;
  /** Microseconds, of this function and of all that it called. */
  total: number;
  readonly callees: Map<string, Frame>;
}

const width = 1_600;
const rowHeight = 17;
const top = 40;
/** Narrower than this, in pixels, a frame is not drawn. */
const narrowest = 0.6;

/**
 * A flame graph: a row for each depth of the stack, as wide as the time that was spent there; who called stands above. Only
 * what was sampled in the window counts, and not the time in which nothing was to do. Hover for the figures.
 */
export function drawFlame(of: {
  readonly profile: CpuProfile;
  /** Microseconds, on the clock of the profile. */
  readonly window: { readonly from: number; readonly to: number };
  readonly title: string;
  readonly nameOf: (callFrame: CpuProfile['nodes'][number]['callFrame']) => string;
}): string {
  const root = gather(of);
  const parts: string[] = [];
  let depth = 0;
  const place = (frame: Frame, row: number, x: number): void => {
    const wide = (frame.total / root.total) * width;
    if (wide < narrowest) return;
    depth = Math.max(depth, row);
    const y = top + row * rowHeight;
    const share = ((frame.total / root.total) * 100).toFixed(2);
    parts.push(
      `<g><title>${escaped(frame.name)} – ${share} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(wide - 0.5, 0.3).toFixed(1)}" height="${rowHeight - 1}" fill="${colorOf(frame.name)}"/>${label(frame.name, wide, x, y)}</g>`,
    );
    let left = x;
    for (const callee of [...frame.callees.values()].sort((a, b) => b.total - a.total)) {
      place(callee, row + 1, left);
      left += (callee.total / root.total) * width;
    }
  };
  place(root, 0, 0);
  const height = top + (depth + 1) * rowHeight + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, monospace" font-size="11" fill="#1f2933">
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="8" y="24" font-size="15" font-weight="600">${escaped(of.title)}</text>
${parts.join('\n')}
</svg>
`;
}

function gather({ profile, window, nameOf }: Parameters<typeof drawFlame>[0]): Frame {
  const { nodes, samples, timeDeltas, startTime } = profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callers = new Map<number, number>();
  for (const { id, children } of nodes) for (const child of children ?? []) callers.set(child, id);
  const root: Frame = { name: 'all', total: 0, callees: new Map() };
  const frames = new Map<number, readonly Frame[]>();
  const stackOf = (id: number): readonly Frame[] => {
    const known = frames.get(id);
    if (known !== undefined) return known;
    const caller = callers.get(id);
    const above = caller === undefined ? null : stackOf(caller);
    const stack = above === null ? [root] : [...above, calleeOf(above.at(-1)!, nameOf(byId.get(id)!.callFrame))];
    frames.set(id, stack);
    return stack;
  };
  let at = startTime;
  for (let i = 0; i < samples.length; i++) {
    at += timeDeltas[i]!;
    if (at < window.from || at > window.to) continue;
    if (byId.get(samples[i]!)!.callFrame.functionName === '(idle)') continue;
    for (const frame of stackOf(samples[i]!)) frame.total += timeDeltas[i + 1] ?? 0;
  }
  return root;
}

function calleeOf(caller: Frame, name: string): Frame {
  const known = caller.callees.get(name);
  if (known !== undefined) return known;
  const frame: Frame = { name, total: 0, callees: new Map() };
  caller.callees.set(name, frame);
  return frame;
}

/** Ours green, packages yellow, Node's own blue, native code and the collector gray. */
function colorOf(name: string): string {
  if (/ (?:core|vault|certs|proxy|admin|telemetry|serve|cli)\//.test(name)) return '#8fd3a8';
  if (/ node:/.test(name)) return '#a9c8ea';
  return / /.test(name) ? '#f2d388' : '#d5dae0';
}

function label(name: string, wide: number, x: number, y: number): string {
  const room = Math.floor((wide - 6) / 6.7);
  if (room < 4) return '';
  const plain = name.replaceAll('`', '');
  const text = plain.length > room ? `${plain.slice(0, room - 1)}…` : plain;
  return `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
