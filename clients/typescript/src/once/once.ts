/** One process makes a file, all get it: whole, once, and never overwritten by one that was too late. */
import { BusyError, HoldfastError, LeaseLostError } from '../errors.ts';
import { PublishError, StaleTokenError } from '../fencing/errors.ts';
import { diskFull, FencedFile, type PublishedFile, settledFile } from '../fencing/fenced-file.ts';
import type { Lease } from '../lease.ts';
import type { LockOptions } from '../options.ts';

/** How to wait for the turn; without `wait` for as long as it takes. */
export interface OnceOptions extends Omit<LockOptions, 'mode' | 'any' | 'requestId'> {
  /** Looks at the finished temporary file. Throws, or answers false, if it must not be published. */
  readonly verify?: (temporaryPath: string) => unknown;
}

/** Writes the file at `temporaryPath`. `lease.signal` says when it is in vain. */
export type Make = (temporaryPath: string, lease: Lease) => unknown;

export interface OnceResult extends PublishedFile {
  /** True if this call has made it. */
  readonly made: boolean;
}

/** What `once` needs of a client. */
export interface Locks {
  hold(name: string, options: LockOptions): Promise<Lease>;
}

/**
 * Resolves once `path` is published. Where it is already, no lock is asked for. Else the first in line for `key` makes it
 * with `make`, the others wait and get it; if the first dies or fails, the next one tries. One key for each path.
 *
 * Rejects with what `make` or `verify` threw; with PublishError if the disk refuses, is full for `make` too, or `verify`
 * answered false; with BusyError when `wait` is over; with LeaseLostError or StaleTokenError if this process came too
 * late - unless the file is published by then: however it came about, that is what was asked for, with `made` false.
 * In each of these cases this call has published nothing and left no temporary file.
 */
export async function once(
  locks: Locks,
  key: string,
  path: string,
  make: Make,
  options: OnceOptions = {},
): Promise<OnceResult> {
  const { verify, ...asked } = options;
  const before = await found(path);
  if (before !== undefined) return before;
  try {
    const lease = await locks.hold(key, asked);
    return await released(lease, () => underLease(lease, path, make, verify));
  } catch (error) {
    const late =
      error instanceof BusyError || error instanceof LeaseLostError || error instanceof StaleTokenError;
    const after = late ? await found(path) : undefined;
    if (after === undefined) throw error;
    return after;
  }
}

async function found(path: string): Promise<OnceResult | undefined> {
  const file = await settledFile(path);
  return file && { ...file, made: false };
}

async function underLease(
  lease: Lease,
  path: string,
  make: Make,
  verify: OnceOptions['verify'],
): Promise<OnceResult> {
  const before = await found(path);
  if (before !== undefined) return before;
  const file = await FencedFile.claim(path, lease.token);
  try {
    // One whose lease was lost may have published until the claim was made; from here on none can.
    const late = await found(path);
    if (late === undefined) {
      await make(file.temporaryPath, lease);
      if ((await verify?.(file.temporaryPath)) === false) {
        throw new PublishError(file.path, '`verify` has refused it');
      }
      lease.check();
      if (await file.publish()) return { path: file.path, token: lease.token, made: true };
    }
  } catch (error) {
    await file.discard().catch(() => undefined);
    // What Node's own calls throw when `lease.signal` ends them: the reason is that this process came too late.
    if (error instanceof Error && error.name === 'AbortError') lease.check();
    throw diskFull(file.path, error) ?? error;
  }
  await file.discard().catch(() => undefined);
  const other = await found(path);
  if (other === undefined)
    throw new PublishError(file.path, 'it was published by another one and then removed');
  return other;
}

/** Runs `act`, then releases, whatever becomes of it: for the others in line that is the news. */
async function released<T>(lease: Lease, act: () => Promise<T>): Promise<T> {
  let reason = '';
  try {
    return await act();
  } catch (error) {
    reason = reasonOf(error);
    throw error;
  } finally {
    await lease.release(reason).catch(unlessService);
  }
}

/** The file is as it is: a release that no majority has confirmed ends with the lease, by its ttl at the latest. */
function unlessService(error: unknown): void {
  if (!(error instanceof HoldfastError)) throw error;
}

/** For the history of the lock: the kind of the error. Its message may hold what is nobody else's business. */
function reasonOf(error: unknown): string {
  const name = error instanceof Error ? error.name : typeof error;
  return `failed: ${name}`.slice(0, 200);
}
