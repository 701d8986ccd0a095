import type { Config } from '../core/config.ts';
import { toAlterError } from '../core/errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Service } from './service.ts';

/** Certificates are replaced under the same path (cert-manager, certbot), without anybody telling the process. */
const lookEveryMs = 30_000;

/**
 * Reads the settings again on SIGHUP and every 30 s, and hands changed certificates to the listeners. Nothing else of the
 * settings takes effect before the next start. What can't be read or does not fit together is logged, and what there was
 * stays. Does nothing where no listener speaks TLS.
 */
export function followCertificates(of: {
  readonly config: Config;
  readonly load: () => Promise<Config>;
  readonly service: Pick<Service, 'replaceTls'>;
  readonly log: Log;
}): { stop(): void } {
  const { load, service, log } = of;
  let known = fingerprint(of.config);
  if (of.config.proxyTlsCert === null && of.config.adminTlsCert === null && of.config.injectorTlsCert === null)
    return { stop: () => {} };
  const look = async (): Promise<void> => {
    try {
      const config = await load();
      const now = fingerprint(config);
      if (now === known) return;
      service.replaceTls(config);
      known = now;
      log.info('The certificates of the listeners were read again.', {});
    } catch (error) {
      log.error('The certificates of the listeners could not be read again; those there were stay.', {
        error: toAlterError(error),
      });
    }
  };
  const onTime = (): void => void look();
  const timer = setInterval(onTime, lookEveryMs);
  timer.unref();
  process.on('SIGHUP', onTime);
  return {
    stop: () => {
      clearInterval(timer);
      process.off('SIGHUP', onTime);
    },
  };
}

function fingerprint(config: Config): string {
  const { proxyTlsCert, proxyTlsKey, proxyTlsClientCa, adminTlsCert, adminTlsKey } = config;
  const { injectorTlsCert, injectorTlsKey } = config;
  return JSON.stringify([
    ...[proxyTlsCert, proxyTlsKey, proxyTlsClientCa],
    ...[adminTlsCert, adminTlsKey, injectorTlsCert, injectorTlsKey],
  ]);
}
