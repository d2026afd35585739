/** What the primary and its workers say to each other; the channel is private to them. */
import type { PackedSettings } from '../config/pack.ts';
import type { Snapshot } from '../control/merge.ts';
import type { Reloaded } from '../domain/operations.ts';
import type { Refusal } from '../domain/refusals.ts';

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
  | { readonly kind: 'ask'; readonly id: number; readonly what: 'report' | 'metrics' }
  /** Settings that were read again. */
  | { readonly kind: 'reload'; readonly id: number; readonly settings: PackedSettings }
  /** What came of the reload that this worker asked for. */
  | { readonly kind: 'reloaded'; readonly id: number; readonly outcome: Reloaded | Refusal };

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
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answer }
  /** Somebody has asked for a reload: of the whole service. */
  | { readonly kind: 'reload'; readonly id: number };

export type Answer = Report | Snapshot | Reloaded | Refusal;

/** How one worker is. */
export interface Report {
  /** Why it is not ready; empty when it is. */
  readonly unready: readonly string[];
  readonly about: Readonly<Record<string, unknown>>;
}
