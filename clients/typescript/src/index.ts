/** `@holdfast/client`: leases with fencing tokens from a Holdfast service. */
export type { Span } from './durations.ts';
export * from './errors.ts';
export { Holdfast, type HoldfastOptions } from './holdfast.ts';
export type { Lease } from './lease.ts';
export type { Make, OnceOptions, OnceResult } from './once/once.ts';
export type { LockOptions, Names } from './options.ts';
export type { Loss } from './session/keep.ts';
export type {
  Holder,
  Inspection,
  LockEvent,
  LockSummary,
  Mode,
  NodeStatus,
  NodeView,
  Queued,
  State,
  Status,
  TokenCheck,
  Waiter,
  YieldRequest,
} from './views.ts';
