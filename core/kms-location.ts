/** Where the key is that wraps the keys of the apps, as `ALTER_KMS_URL` says it. */
export type KmsLocation =
  | { readonly kind: 'local' }
  | {
      readonly kind: 'aws';
      readonly region: string;
      /** An id, `alias/NAME`, or an ARN. */
      readonly keyId: string;
      /** Origins without a slash at the end; null: those of AWS for the region. */
      readonly endpoint: string | null;
      readonly stsEndpoint: string | null;
    }
  | {
      readonly kind: 'transit';
      /** `https://host:port`. */
      readonly origin: string;
      /** Path of the secrets engine, without slashes around it. */
      readonly mount: string;
      readonly keyName: string;
    };

export const kmsUrlForms =
  'local:, awskms://REGION/KEY-ID or awskms://REGION/alias/NAME, or vault+https://HOST:PORT/MOUNT/KEY-NAME';

/** Null for anything that is none of these forms. */
export function findKmsLocation(text: string): KmsLocation | null {
  if (text === 'local:') return { kind: 'local' };
  return findAws(text) ?? findTransit(text);
}

function findAws(text: string): KmsLocation | null {
  const [, region, keyId, query] =
    /^awskms:\/\/([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})\/([\w:/-]{1,2048})(?:\?(.*))?$/.exec(text) ?? [];
  if (region === undefined || keyId === undefined) return null;
  const more = new URLSearchParams(query ?? '');
  const [endpoint, stsEndpoint] = [more.get('endpoint'), more.get('sts_endpoint')];
  more.delete('endpoint');
  more.delete('sts_endpoint');
  if (more.size > 0 || ![endpoint, stsEndpoint].every((origin) => origin === null || isOrigin(origin))) return null;
  return { kind: 'aws', region, keyId, endpoint, stsEndpoint };
}

function findTransit(text: string): KmsLocation | null {
  const [, origin, path] = /^vault\+(https:\/\/[^/?#]+)\/([\w./-]+)$/.exec(text) ?? [];
  if (origin === undefined || path === undefined || !isOrigin(origin)) return null;
  const segments = path.split('/');
  if (segments.length < 2 || segments.some((segment) => /^\.{0,2}$/.test(segment))) return null;
  return { kind: 'transit', origin, mount: segments.slice(0, -1).join('/'), keyName: segments.at(-1)! };
}

/** Only https: the keys of the apps go over it. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.protocol === 'https:' && url.origin === text.toLowerCase().replace(/:443$/, '');
}
