import type { Config, ListenAddress } from '../core/config.ts';
import { AlterError, type Problem, toAlterError } from '../core/errors.ts';
import { openKubernetesApi } from '../injector/kubernetes-api.ts';
import { type RunningInjector, startInjector } from '../injector/main.ts';
import { ServingCertificate } from '../injector/serving-certificate.ts';
import type { Log } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { startOpsServer } from '../telemetry/ops-server.ts';

/** Where Kubernetes puts the token and the authority of a pod's ServiceAccount. */
const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
const lookEveryMs = 60_000;
const retryMs = 2_000;

export interface InjectorService {
  readonly address: ListenAddress;
  readonly ops: ListenAddress;
  /** New connections get the certificate of `config`, where it is given by the settings. */
  replaceTls(config: Config): void;
  close(): Promise<void>;
}

export interface InjectorServiceOptions {
  readonly config: Config;
  /** KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, as Kubernetes gives them to each pod. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Instead of the place that Kubernetes has for it. */
  readonly serviceAccountDirectory?: string;
}

/** `alter serve --role injector`: opens no store and no key. Throws `config_invalid`. */
export async function startInjectorService(options: InjectorServiceOptions): Promise<InjectorService> {
  const { config, log, clock } = options;
  requireInjectorSettings(config, options.env);
  const { injector: settings } = config;
  const given = findGivenTls(config);
  const injector: RunningInjector = await startInjector({ settings, clock, log, certificate: given });
  let own: ServingCertificate | null = null;
  let timer: NodeJS.Timeout | null = null;
  let looking: Promise<void> = Promise.resolve();
  let closed = false;
  if (given === null) {
    const certificate = new ServingCertificate({
      api: openKubernetesApi({
        host: options.env.KUBERNETES_SERVICE_HOST!,
        port: Number(options.env.KUBERNETES_SERVICE_PORT ?? '443'),
        directory: options.serviceAccountDirectory ?? serviceAccountDirectory,
      }),
      secret: settings.certificateSecret!,
      webhook: settings.webhook!,
      host: settings.host!,
      onChange: (changed) => {
        injector.replaceTls(changed);
        log.info('The injector has a new certificate of its own.', {});
      },
    });
    own = certificate;
    const look = async (): Promise<void> => {
      let again = lookEveryMs;
      try {
        await certificate.look(clock());
      } catch (error) {
        again = retryMs;
        log.error('The certificate of the injector could not be looked after.', { error: toAlterError(error) });
      }
      if (!closed) timer = setTimeout(begin, again).unref();
    };
    const begin = (): void => {
      looking = look();
    };
    begin();
  }
  const metrics = new Metrics({ processMetrics: true });
  const ops = await startOpsServer({
    listen: config.opsListen,
    metrics,
    ready: () => (own === null || own.isReady(clock()) ? [] : ['certificate']),
  });
  return {
    address: injector.address,
    ops: ops.address,
    replaceTls: (changed) => {
      const tls = findGivenTls(changed);
      if (tls !== null) injector.replaceTls(tls);
    },
    close: async () => {
      closed = true;
      await injector.close();
      await looking;
      if (timer !== null) clearTimeout(timer);
      await ops.close();
    },
  };
}

function findGivenTls({ injectorTlsCert: cert, injectorTlsKey: key }: Config) {
  return cert === null || key === null ? null : { cert, key };
}

/** What only this role needs. */
function requireInjectorSettings(config: Config, env: InjectorServiceOptions['env']): void {
  const { image, host, certificateSecret, webhook, mode, gateway } = config.injector;
  const problems: Problem[] = [];
  const need = (field: string, value: unknown, why: string): void => {
    if (value === null || value === undefined) problems.push({ field, message: `is missing: ${why}` });
  };
  need('ALTER_INJECTOR_IMAGE', image, 'it is what pods get');
  if (mode === 'gateway')
    need('ALTER_INJECTOR_GATEWAY', gateway, 'with ALTER_INJECTOR_MODE=gateway it is where pods are sent');
  if (config.injectorTlsCert === null) {
    const why = 'the injector makes its own certificate, unless ALTER_INJECTOR_TLS_CERT is given';
    need('ALTER_INJECTOR_HOST', host, why);
    need('ALTER_INJECTOR_CERTIFICATE_SECRET', certificateSecret, why);
    need('ALTER_INJECTOR_WEBHOOK', webhook, why);
    need('KUBERNETES_SERVICE_HOST', env.KUBERNETES_SERVICE_HOST, 'outside of a cluster, give ALTER_INJECTOR_TLS_CERT');
  }
  if (problems.length > 0)
    throw new AlterError('config_invalid', { detail: 'The injector can not start with these settings.', problems });
}
