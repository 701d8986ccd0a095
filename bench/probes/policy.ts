import { evaluatePolicies } from '../../core/policy.ts';
import { appliedPolicies } from '../../core/policy-document.ts';
import { policy } from '../peers/fill-alter.ts';
import type { Probe } from '../probe.ts';

const times = 200_000;
/** No two requests after each other have the same one. */
const paths = Array.from({ length: 1_024 }, (_, index) => `/v1/charges/ch_3PfQ2b2eZvKYlo${index}`);

export const probe: Probe = {
  name: 'policy',
  title: 'Policies at app, secret and grant, each with a time window, addresses, methods and paths, for one request',
  figure: 'CPU µs / request',
  digits: 2,
  measure: async ({ rounds }) => {
    const at = (id: string) => ({ id, policy: { ...policy } });
    const applied = appliedPolicies({ app: at('app'), secret: at('secret'), agent: null, grant: at('grant') });
    const requests = paths.map((path) => ({ clientAddress: '127.0.0.1', method: 'GET', path, reason: null }));
    const now = Date.now();
    const round = (): number => {
      const before = process.threadCpuUsage();
      for (let i = 0; i < times; i++)
        // As in traffic, time goes on: a millisecond for every few requests.
        if (evaluatePolicies(applied, requests[i & 1_023]!, now + (i >> 3)).kind !== 'pass')
          throw new Error('a policy refused');
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / times;
    };
    round();
    return Array.from({ length: Math.max(rounds, 5) }, round);
  },
};
