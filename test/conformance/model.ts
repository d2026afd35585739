/** What a scenario is made of: plain data that says what clients do, what befalls the service, and what must come of it. */
import type { Feature } from './knockouts.ts';

export const LANGUAGES = ['typescript', 'python', 'asyncio'] as const;
export type Language = (typeof LANGUAGES)[number];

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/** `calm`: one replica on the embedded store, shared by many scenarios. `cluster`: two replicas over three redis-servers. */
export type StageKind = 'calm' | 'cluster';

/** A client of a scenario, as `open` takes it, and where it lives. */
export interface ClientPlan {
  readonly owner?: string;
  readonly ttl?: number | string;
  readonly grace?: number;
  readonly keepalive?: Value;
  readonly credentials?: 'insecure';
  /** Which replicas it knows, the first first; all unless set. `nobody`: an address where nothing listens. */
  readonly knows?: readonly ('one' | 'two' | 'nobody')[];
  /** In a process of its own, so that signals reach it alone. */
  readonly alone?: true;
  /** Its connections can be cut and mended; the first one can be made silent: `cut`, `mend`, `hush`. */
  readonly cable?: true;
  /** Not opened at the start: a step does. */
  readonly unopened?: true;
  /** What is done to it on its way to the service, as a fault of the service: a reason with which acquires fail. */
  readonly refused?: { readonly reason: string; readonly code: number };
}

export interface Step {
  /** A client, `stage`, or `outside`: somebody who calls the service itself. */
  readonly by: string;
  readonly do: string;
  readonly with?: { readonly [key: string]: Value };
  /** Which lease, as an earlier step called it. */
  readonly of?: string;
  /** Remembers the answer; a lease is spoken of by this name from then on. */
  readonly as?: string;
  /** What the answer has. */
  readonly gives?: Value;
  /** What the error has; without this an error fails the scenario. */
  readonly fails?: Value;
  /** Asks again until the answer has this. */
  readonly until?: Value;
  /** Goes on without the answer, which `answer` of the same name fetches. */
  readonly later?: true;
  /** Milliseconds that it takes in any case. */
  readonly takes?: number;
  /** A client without one of these is caught here. */
  readonly shows?: Feature | readonly Feature[];
}

export interface Scenario {
  /** A promise in the present tense. */
  readonly name: string;
  readonly stage: StageKind;
  /** Settings of the replicas; only where the stage is its own. */
  readonly env?: Readonly<Record<string, string>>;
  /** A calm stage of its own: it is disturbed, or needs `env`. */
  readonly own?: true;
  /** Where not all have it, with the reason. */
  readonly only?: { readonly languages: readonly Language[]; readonly because: string };
  readonly clients: Readonly<Record<string, ClientPlan>>;
  readonly steps: readonly Step[];
}

export const featuresOf = ({ steps }: Scenario): Feature[] => [
  ...new Set(steps.flatMap(({ shows = [] }) => shows)),
];

export const languagesOf = ({ only }: Scenario): readonly Language[] => only?.languages ?? LANGUAGES;
