/** Every bound of the service in one place, so that relations between them can be asserted. */

export const limits = {
  resourceLength: 256,
  resourcesPerRequest: 64,
  ownerLength: 256,
  requestIdLength: 128,
  labels: 16,
  labelKeyLength: 64,
  labelValueLength: 256,
  priorityMax: 9,
  reasonLength: 512,
  progressLength: 1024,
  historyMax: 1000,
  historyTokenLength: 512,
  /** What one command tells of the past, in pages. */
  historyToldMax: 100_000,
  pageSizeDefault: 100,
  pageSizeMax: 1000,
  /** A lease id of 64 names of 256 characters, with room for its envelope. */
  leaseIdLength: 24_576,
  /** Events that one node keeps for each resource, newest first to survive. */
  historyPerResource: 64,
  /** Operations that one EVALSHA may carry, so that a node is never blocked for long. */
  operationsPerBatch: 128,
  /** Operations sent to one node and not answered yet; beyond that the node counts as silent. */
  operationsInFlight: 16_384,
  /** Undos that one node still owes us a confirmation for. */
  undosPerNode: 65_536,
  /** Attempts of one Acquire before it gives up on a split or stale vote. */
  attempts: 8,
  /** Waiters of one resource that Inspect shows. */
  waitersShown: 1000,
  /** How far into a line one looks for somebody who asks a holder to yield. */
  askersSought: 64,
  /** Shared waiters of one replica that ask at once when a resource comes free for them; the rest follows in turn. */
  sharedAtOnce: 64,
  messageBytes: 1 << 20,
  /** Operations in one message of a session. */
  operationsPerMessage: 1024,
  /**
   * Operations of one session that are not answered yet, waits aside; beyond that nothing more is read from it. Far
   * below what a node takes, so that one session is not in the way of others.
   */
  operationsPerSession: 2048,
  /** Leases that one session keeps, and acquires of it that wait. */
  leasesPerSession: 16_384,
} as const;

/** Lead: how far a proposed token may be ahead of a node's clock. */
export const tokenLeadMicros = 1_000_000;
/** Slack: how far a token may pass the fence whatever the clocks say. */
export const tokenSlackMicros = 1_000;
/** Clock rates may differ by one in a hundred (guarantee G1). */
export const driftRate = 0.01;
/** Rounding of the nodes' clocks and of ours, added to the drift. */
export const driftFloorMs = 2;
/** A fence without a holder is dropped after a day; the floor takes its place. */
export const fenceAgeMicros = 86_400_000_000;
/** An ended request id is remembered for at least this long. */
export const requestMemoryMs = 600_000;
