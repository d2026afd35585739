/** The class of a lock for metrics: names are unbounded, classes are configured. */
import type { LockClass } from '../config/operations.ts';

const OTHER = 'other';
/** A tenant's names are stored as `~TENANT/NAME`, and classes are about what its callers say. */
const TENANT_MARK = '~';

/** By the longest prefix that fits. */
export function makeClassOf(classes: readonly LockClass[]): (resource: string) => string {
  if (classes.length === 0) return () => OTHER;
  const longestFirst = [...classes].sort((a, b) => b.prefix.length - a.prefix.length);
  return (resource) => {
    const name = resource.startsWith(TENANT_MARK) ? resource.slice(resource.indexOf('/') + 1) : resource;
    for (const one of longestFirst) if (name.startsWith(one.prefix)) return one.name;
    return OTHER;
  };
}

/** Every class there can be, each once. */
export function classNames(classes: readonly LockClass[]): readonly string[] {
  return [...new Set([...classes.map(({ name }) => name), OTHER])];
}
