import type { Contender } from './contender.ts';
import {
  alter,
  alterBuffered,
  alterManyGrants,
  alterNodeReader,
  alterRedis,
  alterRedisBuffered,
  alterSigV4,
  alterTwoWorkers,
  tunnel,
} from './peers/alter.ts';
import { direct } from './peers/direct.ts';
import { go } from './peers/go.ts';
import { httpMitm } from './peers/http-mitm-proxy.ts';
import { mitmproxy } from './peers/mitmproxy.ts';
import { nginx } from './peers/nginx.ts';
import { squid } from './peers/squid.ts';

export const contenders: readonly Contender[] = [
  alter,
  alterBuffered,
  alterRedis,
  alterRedisBuffered,
  alterSigV4,
  alterManyGrants,
  alterTwoWorkers,
  alterNodeReader,
  squid,
  go,
  mitmproxy,
  httpMitm,
  nginx,
  tunnel,
  direct,
];

/** All that have the same work: they hold connections on both sides, and TLS on both. */
export const interceptors = ['alter', 'squid', 'go', 'nginx'] as const;
/** And what is less work: the limits. */
export const peers = [...interceptors, 'tunnel', 'direct'] as const;
/** Those whose figures are far from all others', in the cases that say most. */
export const distantPeers = ['mitmproxy', 'http-mitm-proxy'] as const;
/** Ours beside each of the others that has the same work. */
export const besidePeers = [
  ['alter', 'squid'],
  ['alter', 'go'],
  ['alter', 'nginx'],
] as const;
