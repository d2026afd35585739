/** What an Acquire asks for where a test or a bench does not care. */
import type { AcquireAsk } from '../../src/locks/locks.ts';

export function asking(changes: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    resources: ['r'],
    owner: 'w1',
    ttlMs: 10_000,
    waitMs: 0,
    mode: 'exclusive',
    any: 0,
    priority: 0,
    requestId: '',
    labels: {},
    ...changes,
  };
}
