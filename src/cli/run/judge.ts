/** What becomes of the command: decided from what is left of the lease, so that it is dead before another holder may begin. */

/** `warn` never ends the command. */
export type OnLoss = 'terminate' | 'kill' | 'warn';

export interface Terms {
  readonly ttlMs: number;
  /** From TERM to KILL. */
  readonly killAfterMs: number;
  /** How long before the lease ends nothing of the command may live any more. */
  readonly marginMs: number;
  /** How long the lease outlives a stream that ended unannounced. */
  readonly graceMs: number;
  readonly onLoss: OnLoss;
}

export interface Look {
  /** What is left of the lease by the holder's own count. */
  readonly remainingMs: number;
  /** Why it is lost, if it is. */
  readonly lost: string | undefined;
  /** How long ago the command was told to end by us; undefined: never. */
  readonly toldMs: number | undefined;
}

export type Step = 'go on' | 'warn' | 'terminate' | 'kill';

/** Somebody ended the lease on purpose, or nobody knows: the command gets its time all the same, and the token protects. */
const MENDABLE = new Set(['forced', 'released', 'unknown']);

export function judge({ remainingMs, lost, toldMs }: Look, terms: Terms): Step {
  const { killAfterMs, marginMs, onLoss } = terms;
  if (toldMs !== undefined && toldMs >= killAfterMs) return 'kill';
  if (onLoss === 'warn') return lost !== undefined || remainingMs <= 0 ? 'warn' : 'go on';
  if (lost !== undefined && MENDABLE.has(lost)) return onLoss === 'kill' ? 'kill' : 'terminate';
  if (lost !== undefined || remainingMs <= marginMs) return 'kill';
  return onLoss === 'terminate' && remainingMs <= killAfterMs + marginMs ? 'terminate' : 'go on';
}

/** Never later than so is the next look due. */
export function nextLookMs({ remainingMs, toldMs }: Look, { ttlMs, killAfterMs, marginMs }: Terms): number {
  const points = [remainingMs - killAfterMs - marginMs, remainingMs - marginMs, killAfterMs - (toldMs ?? 0)];
  return Math.max(5, Math.min(usualLookMs(ttlMs), ...points.filter((ms) => ms > 0)));
}

/** Often enough to see each renewal, of which there are three or four in a ttl. */
function usualLookMs(ttlMs: number): number {
  return Math.min(1000, Math.max(20, ttlMs / 16));
}

const SHORTEST_TTL_MS = 1000;
const USUAL_KILL_AFTER_MS = 10_000;

export function marginOf(ttlMs: number): number {
  return Math.min(500, Math.max(50, ttlMs / 20));
}

/** The longest time from TERM to KILL that a ttl can hold: a lease that is renewed in time never has less than half left. */
export function killAfterMaxMs(ttlMs: number): number {
  return Math.floor(ttlMs / 2 - marginOf(ttlMs));
}

/** Why these two cannot be had together, or the terms. */
export function termsOf(ttlMs: number, killAfterMs: number | undefined, onLoss: OnLoss): Terms | string {
  if (ttlMs < SHORTEST_TTL_MS) return `--ttl must be at least 1s, for the command is ended within it`;
  const most = killAfterMaxMs(ttlMs);
  if (killAfterMs !== undefined && killAfterMs > most)
    return `--kill-after must fit into the ttl: at most ${most}ms with --ttl ${ttlMs}ms`;
  const chosen = killAfterMs ?? Math.min(USUAL_KILL_AFTER_MS, Math.floor(ttlMs / 3));
  const marginMs = marginOf(ttlMs);
  // What is left beyond is for finding another replica, before the command has to be told to end.
  const graceMs = Math.min(ttlMs, Math.ceil(chosen + marginMs + ttlMs / 4));
  return { ttlMs, killAfterMs: chosen, marginMs, graceMs, onLoss };
}
