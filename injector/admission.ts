import type { InjectorSettings } from '../core/config.ts';
import { AlterError } from '../core/errors.ts';
import { injectPod } from './inject-pod.ts';
import { findPod, isObject } from './pod.ts';

const version = 'admission.k8s.io/v1';
/** The API server cuts longer ones itself, and may drop all of them then. */
const maxWarningLength = 240;

export interface AdmissionReview {
  readonly apiVersion: typeof version;
  readonly kind: 'AdmissionReview';
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: { readonly code: number; readonly message: string };
    readonly patchType?: 'JSONPatch';
    /** In base64. */
    readonly patch?: string;
    readonly warnings?: readonly string[];
  };
}

/**
 * Answers an AdmissionReview. Nothing is read or written besides, so that a dry run is like any other. What is not the
 * creation of a pod is let through. Throws `request_malformed` for what is no AdmissionReview of version 1.
 */
export function review(body: unknown, settings: InjectorSettings): AdmissionReview {
  if (!isObject(body) || body.apiVersion !== version || body.kind !== 'AdmissionReview' || !isObject(body.request))
    throw new AlterError('request_malformed', {
      detail: `The body is no AdmissionReview of ${version} with a request.`,
    });
  const { uid, kind, operation, object, subResource } = body.request;
  if (typeof uid !== 'string' || uid === '' || uid.length > 128 || !isObject(kind))
    throw new AlterError('request_malformed', { detail: 'The request of the AdmissionReview has no uid, or no kind.' });
  const answer = (rest: Omit<AdmissionReview['response'], 'uid'>): AdmissionReview => ({
    apiVersion: version,
    kind: 'AdmissionReview',
    response: { uid, ...rest },
  });
  const isPod = kind.group === '' && kind.version === 'v1' && kind.kind === 'Pod';
  if (!isPod || operation !== 'CREATE' || (subResource ?? '') !== '') return answer({ allowed: true });
  const pod = findPod(object);
  if (pod === null)
    throw new AlterError('request_malformed', { detail: 'The object of the AdmissionReview is no pod of v1.' });

  const injection = injectPod(pod, settings);
  if (injection.kind === 'untouched') return answer({ allowed: true });
  if (injection.kind === 'refused') {
    const problems = injection.problems.map((problem) => `alter-egress: ${problem}`);
    if (settings.onProblem === 'admit')
      return answer({ allowed: true, ...warn([...problems, 'alter-egress: The pod starts without a proxy.']) });
    return answer({ allowed: false, status: { code: 422, message: problems.join(' ') } });
  }
  return answer({
    allowed: true,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(injection.patch)).toString('base64'),
    ...warn(injection.warnings.map((warning) => `alter-egress: ${warning}`)),
  });
}

function warn(warnings: readonly string[]): { readonly warnings?: readonly string[] } {
  if (warnings.length === 0) return {};
  return {
    warnings: warnings.map((text) => (text.length > maxWarningLength ? `${text.slice(0, maxWarningLength)}…` : text)),
  };
}
