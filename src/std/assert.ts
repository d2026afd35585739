/** Assertions that stay on in production: a broken invariant is a bug, and a bug stops here. */

export class InvariantBroken extends Error {
  override name = 'InvariantBroken';
}

export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new InvariantBroken(invariant);
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new InvariantBroken(`unexpected variant ${JSON.stringify(value)}`);
}
