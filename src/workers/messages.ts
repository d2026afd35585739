/** What the primary and its workers say to each other; the channel is private to them. */
import type { PackedSettings } from '../config/pack.ts';
import type { Snapshot } from '../control/merge.ts';

export type ToWorker =
  | {
      readonly kind: 'begin';
      readonly number: number;
      readonly settings: PackedSettings;
      /** As configured, with the ports that were chosen. */
      readonly addresses: readonly string[];
    }
  /** A client's connection comes with it, to the address of this index. */
  | { readonly kind: 'connection'; readonly at: number }
  | { readonly kind: 'drain' }
  | { readonly kind: 'ask'; readonly id: number; readonly what: 'report' | 'metrics' };

export type ToPrimary =
  /** The worker listens to its primary. */
  | { readonly kind: 'here' }
  | { readonly kind: 'up' }
  | { readonly kind: 'failed'; readonly why: string }
  /** A connection has arrived. */
  | { readonly kind: 'taken' }
  /** So many connections have ended. */
  | { readonly kind: 'ended'; readonly count: number }
  /** No more connections, please. */
  | { readonly kind: 'closing' }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Report | Snapshot };

/** How one worker is. */
export interface Report {
  /** Why it is not ready; empty when it is. */
  readonly unready: readonly string[];
  readonly about: Readonly<Record<string, unknown>>;
}
