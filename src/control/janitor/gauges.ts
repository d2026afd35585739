/** What the janitor counts, and what the last look at all locks showed: set where the janitor works, 0 elsewhere. */
import type { Finding } from '../../domain/operations.ts';
import { FINDINGS } from '../../locks/mend.ts';
import { OBSERVED } from '../alerts/observation.ts';
import { type Family, Numbers } from '../families.ts';

/** All locks of one class as one pass saw them. */
export interface ClassFigures {
  held: number;
  waiting: number;
  longestHoldMs: number;
  oldestWaitMs: number;
  held_too_long: number;
  silent_holder: number;
  starving_waiter: number;
}

export function noFigures(): ClassFigures {
  const observed = Object.fromEntries(OBSERVED.map((kind) => [kind, 0])) as Record<
    (typeof OBSERVED)[number],
    number
  >;
  return { held: 0, waiting: 0, longestHoldMs: 0, oldestWaitMs: 0, ...observed };
}

function byClass(name: string, help: string): Numbers {
  return new Numbers('gauge', name, help, ['class']);
}

export class JanitorGauges {
  readonly #held = byClass('holdfast_locks_held', 'Locks that are held.');
  readonly #waiting = byClass('holdfast_locks_waiting', 'Places in line, of all replicas.');
  readonly #longestHold = byClass(
    'holdfast_longest_hold_seconds',
    'For how long the oldest lease has been held.',
  );
  readonly #oldestWait = byClass(
    'holdfast_oldest_wait_seconds',
    'For how long the first that came has waited.',
  );
  readonly #heldTooLong = byClass('holdfast_held_too_long', 'Leases held for longer than is right.');
  readonly #silent = byClass('holdfast_silent_holders', 'Holders that have shown no progress for too long.');
  readonly #starving = byClass('holdfast_starving_waiters', 'Waiters that have waited for too long.');
  readonly #active = new Numbers('gauge', 'holdfast_janitor_active', '1 where the janitor works.');
  readonly #lastRun = new Numbers(
    'gauge',
    'holdfast_janitor_last_run_timestamp_seconds',
    'When the janitor here last looked at all locks; 0: never, or another replica does.',
  );
  readonly #findings = new Numbers(
    'counter',
    'holdfast_janitor_findings_total',
    'What faults had left behind, by whether it could be mended.',
    ['kind', 'mended'],
  );
  readonly #classes: readonly string[];

  constructor(classes: readonly string[]) {
    this.#classes = classes;
    for (const kind of FINDINGS) for (const mended of ['true', 'false']) this.#findings.of(kind, mended);
    this.clear();
  }

  get families(): readonly Family[] {
    return [
      this.#held,
      this.#waiting,
      this.#longestHold,
      this.#oldestWait,
      this.#heldTooLong,
      this.#silent,
      this.#starving,
      this.#active,
      this.#lastRun,
      this.#findings,
    ];
  }

  set active(is: boolean) {
    this.#active.of().value = is ? 1 : 0;
  }

  found({ kind, mended }: Finding): void {
    this.#findings.of(kind, String(mended)).value += 1;
  }

  show(figures: ReadonlyMap<string, ClassFigures>, nowMs: number): void {
    this.#lastRun.of().value = nowMs / 1000;
    for (const name of this.#classes) {
      const of = figures.get(name) ?? noFigures();
      this.#held.of(name).value = of.held;
      this.#waiting.of(name).value = of.waiting;
      this.#longestHold.of(name).value = of.longestHoldMs / 1000;
      this.#oldestWait.of(name).value = of.oldestWaitMs / 1000;
      this.#heldTooLong.of(name).value = of.held_too_long;
      this.#silent.of(name).value = of.silent_holder;
      this.#starving.of(name).value = of.starving_waiter;
    }
  }

  /** Another replica tells from now on, or nobody. */
  clear(): void {
    this.show(new Map(), 0);
    this.active = false;
  }
}
