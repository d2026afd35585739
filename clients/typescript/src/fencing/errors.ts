/** What goes wrong at a fence. They stand apart from HoldfastError: a protected resource needs no client. */

/** The base of all errors of this folder. */
export class FencingError extends Error {
  override name = 'FencingError';
}

/** A later lease has been here: nothing was written, and nothing that this token sends will be. */
export class StaleTokenError extends FencingError {
  override name = 'StaleTokenError';
  /** The token that came too late. */
  readonly token: bigint;
  /** The newest token that the resource has seen. */
  readonly current: bigint;

  constructor(what: string, token: bigint, current: bigint) {
    super(`${what} has seen token ${current}: token ${token} is stale and changes nothing any more`);
    this.token = token;
    this.current = current;
  }
}

/** A file could not be written or published: nothing of it is left, and `cause` is the operating system's error. */
export class PublishError extends FencingError {
  override name = 'PublishError';
  readonly path: string;

  constructor(path: string, why: string, cause?: unknown) {
    super(`${path} could not be published: ${why}`, cause === undefined ? {} : { cause });
    this.path = path;
  }
}

/** Somebody changed it since it was read: nothing was written. The token was good; read again and decide anew. */
export class VersionConflictError extends FencingError {
  override name = 'VersionConflictError';
  readonly expected: bigint;
  readonly current: bigint;

  constructor(what: string, expected: bigint, current: bigint) {
    super(`${what} is at version ${current}, not ${expected} as when it was read: nothing was changed`);
    this.expected = expected;
    this.current = current;
  }
}

/** There is nothing to write to. */
export class MissingTargetError extends FencingError {
  override name = 'MissingTargetError';
}

/** Tokens are uint64 on the wire; 0 is never one. */
const LARGEST = 2n ** 64n - 1n;

/** Throws a RangeError unless it can be a fencing token: 1 to 2^64 - 1, or `largest` where the resource holds less. */
export function checkToken(token: bigint, largest = LARGEST): void {
  if (typeof token !== 'bigint') throw new TypeError(`token: a bigint is needed, not a ${typeof token}`);
  if (token < 1n || token > largest) throw new RangeError(`token: 1 to ${largest}, not ${token}`);
}
