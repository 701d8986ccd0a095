import type { RecordKey } from './store.ts';

/**
 * The keys of one space: `alter:{space}:…`, so that a Redis Cluster keeps them together. Space and type are
 * percent-encoded: no braces, no colons, so neither moves a key to another node or reads as another key.
 */
export class SpaceKeys {
  readonly base: string;
  readonly head: string;
  readonly feed: string;
  readonly index: string;
  readonly names: string;
  readonly audit: string;

  constructor(prefix: string, space: string) {
    this.base = `${prefix}:{${encodeURIComponent(space)}}:`;
    this.head = `${this.base}head`;
    this.feed = `${this.base}feed`;
    this.index = `${this.base}index`;
    this.names = `${this.base}names`;
    this.audit = `${this.base}audit`;
  }

  record(key: RecordKey): string {
    return `${this.base}record:${toMember(key)}`;
  }

  tag(tag: string): string {
    return `${this.base}tag:${tag}`;
  }
}

export function toMember({ type, id }: RecordKey): string {
  return `${encodeURIComponent(type)}:${id}`;
}

export function parseMember(member: Buffer | string): RecordKey {
  const text = member.toString();
  const colon = text.indexOf(':');
  return { type: decodeURIComponent(text.slice(0, colon)), id: text.slice(colon + 1) };
}
