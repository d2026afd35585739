/** What one node may answer, and how it shows what it remembers. */
import type { LostWhy } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';
import type { LineView, NodeLine, NodeWaiter } from './line.ts';
import type { ClosedWhy } from './node.ts';

/** One holder as one node sees it. The value is left out: it is the secret half of a lease id. */
export interface NodeHolder {
  readonly resource: string;
  readonly leaseRef: string;
  readonly token: Token;
  readonly owner: string;
  readonly remainingMs: number;
  readonly card: string;
  readonly binding: number;
  readonly progress: string;
}

export type NodeEventType = 'held' | 'renewed' | 'undone' | 'released' | 'expired' | 'forced';

export interface NodeEvent {
  readonly type: NodeEventType;
  readonly timeMicros: number;
  readonly token: Token;
  readonly leaseRef: string;
  readonly owner: string;
  readonly reason: string;
}

export type SilentWhy =
  | 'timeout'
  | 'unreachable'
  | 'amnesia'
  | 'config'
  | 'suspect'
  | 'refused'
  | 'full'
  | 'overloaded'
  | 'error';

export interface NodeView {
  readonly resource: string;
  /** The exclusive holder. */
  readonly holder?: NodeHolder;
  /** The shared ones by value; absent without any. */
  readonly readers?: readonly NodeHolder[];
  /** Absent while nobody stands in it. */
  readonly line?: NodeLine;
  readonly fence?: { readonly token: Token; readonly state: 'open' | ClosedWhy };
  readonly history: readonly NodeEvent[];
}

export type Answer =
  | { readonly kind: 'held' }
  | { readonly kind: 'dup' }
  | { readonly kind: 'replay'; readonly value: string; readonly holder: NodeHolder }
  | { readonly kind: 'ended'; readonly value: string; readonly why: LostWhy }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'conflict'; readonly holders: readonly NodeHolder[]; readonly line?: LineView }
  | { readonly kind: 'wait'; readonly line: LineView }
  | { readonly kind: 'crowded' }
  | { readonly kind: 'queued'; readonly line: LineView }
  | {
      readonly kind: 'left';
      readonly matched: boolean;
      readonly line: LineView;
      readonly holders: readonly NodeHolder[];
    }
  | { readonly kind: 'waiting'; readonly waiters: readonly NodeWaiter[] }
  | { readonly kind: 'settled' }
  | { readonly kind: 'watching' }
  | { readonly kind: 'told' }
  | { readonly kind: 'stale'; readonly fence: Token }
  | { readonly kind: 'ahead'; readonly nowMicros: number }
  | {
      readonly kind: 'extended';
      readonly holder: NodeHolder;
      readonly markerKey: string;
      readonly markerDigest: string;
      /** Somebody stands in line for one of its resources. */
      readonly waited: boolean;
    }
  | { readonly kind: 'bound'; readonly binding: number }
  | { readonly kind: 'missing'; readonly why: LostWhy }
  | { readonly kind: 'released'; readonly matched: boolean }
  | { readonly kind: 'forced'; readonly value: string; readonly holder: NodeHolder | null }
  | { readonly kind: 'revealed'; readonly value: string; readonly holder: NodeHolder | null }
  | { readonly kind: 'barred'; readonly held: boolean; readonly barred: boolean }
  | { readonly kind: 'seen'; readonly view: NodeView | null }
  | { readonly kind: 'listed'; readonly views: readonly NodeView[]; readonly more: boolean }
  | { readonly kind: 'swept'; readonly next: string; readonly expired: number; readonly dropped: number }
  | { readonly kind: 'pong'; readonly nowMicros: number }
  | Silent;

export interface Silent {
  readonly kind: 'silent';
  readonly why: SilentWhy;
  readonly detail: string;
}
