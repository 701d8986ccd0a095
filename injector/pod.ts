/** What the injector looks at in a pod. Every other field is carried along as it is. */
export interface Pod {
  readonly metadata: {
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly Volume[];
    readonly securityContext?: SecurityContext;
    readonly hostNetwork?: boolean;
    readonly hostPID?: boolean;
    readonly shareProcessNamespace?: boolean;
    readonly os?: { readonly name?: string };
  };
}

export interface Container {
  readonly [other: string]: unknown;
  readonly name: string;
  readonly env?: readonly EnvVar[];
  readonly volumeMounts?: readonly VolumeMount[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly securityContext?: SecurityContext;
  /** `Always` on an init container makes it a native sidecar. */
  readonly restartPolicy?: string;
}

export interface Volume {
  readonly [other: string]: unknown;
  readonly name: string;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: unknown;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

export interface SecurityContext {
  readonly [other: string]: unknown;
  readonly runAsUser?: number;
  readonly runAsNonRoot?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The API server sends pods that fit their schema, but this service can be reached by whoever the network lets through.
 * Null where a field that is looked at has another form than above.
 */
export function findPod(value: unknown): Pod | null {
  if (!isObject(value) || !isObject(value.metadata) || !isObject(value.spec)) return null;
  const { metadata, spec } = value;
  const annotations = metadata.annotations ?? {};
  const fits =
    isObject(annotations) &&
    Object.values(annotations).every((text) => typeof text === 'string') &&
    isNamedList(spec.containers, isContainer) &&
    (spec.initContainers === undefined || isNamedList(spec.initContainers, isContainer)) &&
    (spec.volumes === undefined || isNamedList(spec.volumes)) &&
    isOptionalObject(spec.securityContext);
  return fits ? (value as unknown as Pod) : null;
}

function isContainer(value: Fields): boolean {
  return (
    (value.env === undefined || isNamedList(value.env)) &&
    (value.volumeMounts === undefined || isNamedList(value.volumeMounts)) &&
    (value.ports === undefined || (Array.isArray(value.ports) && value.ports.every(isObject))) &&
    isOptionalObject(value.securityContext)
  );
}

function isNamedList(value: unknown, isFit: (one: Fields) => boolean = () => true): boolean {
  return Array.isArray(value) && value.every((one) => isObject(one) && typeof one.name === 'string' && isFit(one));
}

function isOptionalObject(value: unknown): boolean {
  return value === undefined || isObject(value);
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
