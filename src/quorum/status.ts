/** The cluster as `AdminService.Status`, `/readyz` and the health service see it. */

export type NodeState = 'ready' | 'silent' | 'quarantined' | 'suspect' | 'refused';

export interface NodeStatus {
  readonly node: string;
  readonly state: NodeState;
  readonly detail: string;
  readonly voteLatencyMs: number;
  readonly quarantineLeftMs: number;
  readonly clockOffsetMs: number;
  /** Empty: none; a decimal token; or `clocks` when the node leans on sane clocks. */
  readonly floor: string;
}

export interface ClusterStatus {
  readonly embedded: boolean;
  readonly nodes: readonly NodeStatus[];
  /** Ready nodes less a majority; negative: so many are missing. */
  readonly quorumMargin: number;
  readonly warnings: readonly string[];
}
