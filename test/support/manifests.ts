/**
 * Validation of Kubernetes manifests against the published schemas, as the packages kubernetes-models and
 * @kubernetes-models/prometheus-operator ship them.
 *
 * These check types, required fields and allowed values, but accept fields that they do not know. The API server ignores
 * such a field, so a misspelled limit would be none: here a field that the schema does not read is a mistake.
 */

export interface Manifest {
  apiVersion: string;
  kind: string;
}

type Validating = Record<string, { prototype: { validate(): void } } | undefined>;

async function modelsOf(apiVersion: string): Promise<Validating> {
  const own = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models';
  return (await import(`${own}/${apiVersion}`)) as Validating;
}

/** The same object; `unread` loses the path of each field that is read. */
function watched(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const inner = new Map<PropertyKey, unknown>();
  for (const [key, field] of Object.entries(value)) {
    unread.add(`${path}/${key}`);
    inner.set(key, watched(field, `${path}/${key}`, unread));
  }
  return new Proxy(value, {
    get(target, key) {
      unread.delete(`${path}/${String(key)}`);
      return inner.has(key) ? inner.get(key) : Reflect.get(target, key);
    },
  });
}

/** What is wrong with a manifest. */
export async function mistakesIn(manifest: Manifest): Promise<string[]> {
  const model = (await modelsOf(manifest.apiVersion))[manifest.kind];
  if (model === undefined) return [`no ${manifest.kind} in ${manifest.apiVersion}`];
  const unread = new Set<string>();
  try {
    model.prototype.validate.call(watched(manifest, '', unread));
  } catch (error) {
    return [(error as Error).message];
  }
  return [...unread].map((path) => `unknown field ${path}`);
}
