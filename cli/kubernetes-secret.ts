const subdomain = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/; // RFC 1123, as Kubernetes names objects
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Gives the way to make the manifest of a Secret; null where the names are not those of Kubernetes. */
export function formatSecret(of: {
  readonly name: string;
  readonly namespace: string | undefined;
}): ((values: Readonly<Record<string, string>>) => string) | null {
  const { name, namespace } = of;
  if (!subdomain.test(name) || (namespace !== undefined && !label.test(namespace))) return null;
  return (values) =>
    [
      'apiVersion: v1',
      'kind: Secret',
      'metadata:',
      `  name: ${JSON.stringify(name)}`,
      ...(namespace === undefined ? [] : [`  namespace: ${JSON.stringify(namespace)}`]),
      'type: Opaque',
      'stringData:',
      // A JSON string is a YAML string, whatever it holds.
      ...Object.entries(values).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
      '',
    ].join('\n');
}
