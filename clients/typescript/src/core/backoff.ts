/** How long to wait before the next address is tried: at once through all of them, then in growing rounds with jitter. */

const FIRST_ROUND_MS = 25;
const LONGEST_MS = 1000;
/** While leases hang on it, whose time runs out. */
const LONGEST_URGENT_MS = 100;

export interface Trying {
  /** Failures since something was answered last. */
  readonly failures: number;
  readonly addresses: number;
  readonly urgent: boolean;
  /** At least 0, below 1. */
  readonly fraction: number;
}

export function backoffMs({ failures, addresses, urgent, fraction }: Trying): number {
  const round = Math.floor(failures / addresses);
  if (round === 0) return 0;
  const most = urgent ? LONGEST_URGENT_MS : LONGEST_MS;
  const ms = Math.min(most, FIRST_ROUND_MS * 2 ** Math.min(round - 1, 16));
  return ms * (0.5 + fraction / 2);
}
