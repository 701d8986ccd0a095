import { networkInterfaces } from 'node:os';
import { unmapIpv4 } from '../../core/address.ts';
import type { ListenAddress } from '../../core/config.ts';

/** Whether a connection to this address and port would come back to the listener. */
export function reaches(listener: ListenAddress, address: string, port: number): boolean {
  if (listener.port !== port) return false;
  if (listener.host !== '0.0.0.0' && listener.host !== '::') return listener.host === address;
  if (address.startsWith('127.') || address === '::1' || address === '0.0.0.0' || address === '::') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((entry) => unmapIpv4(entry.address) === address));
}
