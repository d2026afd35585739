/** What operators are told of a replica that they act on: what a reload changed, and what the janitor found. */

/** Something that a fault has left behind. */
export interface Finding {
  readonly kind: string;
  /** Empty: it is no matter of one node. */
  readonly node: string;
  readonly resource: string;
  readonly detail: string;
  readonly mended: boolean;
}

export interface JanitorReport {
  readonly kind: 'report';
  readonly findings: readonly Finding[];
  readonly found: number;
  readonly lookedAt: number;
}

export interface Reloaded {
  readonly kind: 'reloaded';
  /** Environment names, sorted. */
  readonly changed: readonly string[];
  readonly restartRequired: readonly string[];
}
