/** Exit codes: the whole vocabulary of the commands, and how the errors of the service map to it. */

export const exit = {
  ok: 0,
  badSettings: 2,
  wrongUsage: 64,
  noQuorum: 69,
  busy: 75,
  leaseLost: 76,
} as const;

export type ExitCode = (typeof exit)[keyof typeof exit];

/** By reason where the service gave one, else by the name of the gRPC status. */
const BY_REASON: Readonly<Record<string, ExitCode>> = {
  INVALID_FIELD: exit.wrongUsage,
  LEASE_LOST: exit.leaseLost,
  NO_QUORUM: exit.noQuorum,
  // Not now, perhaps later: what a script does about them is what it does about a lock that is taken.
  DEADLOCK: exit.busy,
  QUOTA: exit.busy,
  TOO_MANY_WAITERS: exit.busy,
  UNKNOWN_RESOURCE: exit.wrongUsage,
  DENIED: exit.wrongUsage,
  UNAUTHENTICATED: exit.wrongUsage,
  DRAINING: exit.noQuorum,
  NOT_SERVED: exit.wrongUsage,
  INTERNAL: exit.noQuorum,
};

const BY_STATUS: Readonly<Record<string, ExitCode>> = {
  INVALID_ARGUMENT: exit.wrongUsage,
  NOT_FOUND: exit.wrongUsage,
  PERMISSION_DENIED: exit.wrongUsage,
  UNAUTHENTICATED: exit.wrongUsage,
  UNIMPLEMENTED: exit.wrongUsage,
  FAILED_PRECONDITION: exit.leaseLost,
  ABORTED: exit.busy,
  RESOURCE_EXHAUSTED: exit.busy,
};

/** What neither table knows never got an answer that counts: UNAVAILABLE, DEADLINE_EXCEEDED, UNKNOWN and the like. */
export function exitCodeOf(reason: string, status: string): ExitCode {
  return BY_REASON[reason] ?? BY_STATUS[status] ?? exit.noQuorum;
}
