import { byHeaderName } from './http/header-names.ts';

/*
 * The spellings in which a client may have sent its own copy of a name that is injected.
 */

/** Servers that map headers to variables read `X_Api_Key` and `X-Api-Key` as one. */
export const dashed = byHeaderName((lower) => lower.replaceAll('_', '-'));

/**
 * Takes a parameter out of a query as servers read it: percent-encoded, with `+`, in another case, as `name[]`, or set off
 * by `;`, which some still take for a separator. Everything else stays byte for byte.
 */
export function withoutQueryParameter(target: string, name: string): string {
  const question = target.indexOf('?');
  if (question === -1) return target;
  const wanted = name.toLowerCase();
  const kept = target
    .slice(question + 1)
    .split('&')
    .flatMap((part) => {
      const pieces = part.split(';');
      const left = pieces.filter((piece) => !namesParameter(piece, wanted));
      return left.length === 0 ? [] : [left.join(';')];
    });
  return kept.length === 0 ? target.slice(0, question) : `${target.slice(0, question)}?${kept.join('&')}`;
}

function namesParameter(piece: string, wanted: string): boolean {
  const equals = piece.indexOf('=');
  const raw = (equals === -1 ? piece : piece.slice(0, equals)).replaceAll('+', ' ');
  let decoded = raw.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const bracket = decoded.indexOf('[');
  if (bracket > 0) decoded = decoded.slice(0, bracket);
  return decoded.trim().toLowerCase() === wanted;
}
