/** One pass over all names: counts, looks closer where something has changed, mends, and hands the past to the archive. */
import type { Finding } from '../../domain/operations.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { LockEvent } from '../../locks/locks.ts';
import type { Glance, Mend, Sight } from '../../locks/mend.ts';
import { type Clock, pause } from '../../std/clock.ts';
import type { Tally } from './tally.ts';

/** Between two pages: so the nodes spend a small part of their time on this, however many names there are. */
const PAGE_PAUSE_MS = 25;
/** Closer looks that are out at once. */
const AT_ONCE = 8;
/** Names in one pass whose leases are looked at more closely; the others come in a later one. */
const CLOSER_MAX = 2000;
/** Names in one pass: beyond that it ends, and the next one begins behind them. */
const NAMES_MAX = 200_000;
/** In one report; the rest is counted. */
const FINDINGS_MAX = 1000;
/** Names of the service itself. */
const OWN = '~/';

export interface RoundOptions {
  readonly mend: Mend;
  readonly clock: Clock;
  readonly dryRun: boolean;
  /** The last name of the pass before, where that was too long; else empty. */
  readonly after: string;
  readonly tally: Tally;
  /** What each name's leases looked like when nothing was found there. */
  readonly known: ReadonlyMap<string, string>;
  /** Asked between two steps. */
  readonly goOn: () => boolean;
  readonly backfill: ((events: readonly LockEvent[]) => unknown) | undefined;
}

export interface Round {
  readonly kind: 'round';
  readonly findings: readonly Finding[];
  readonly found: number;
  readonly lookedAt: number;
  readonly known: ReadonlyMap<string, string>;
  /** Empty: all names were seen. */
  readonly next: string;
}

/** Undefined: it had to stop in the middle. */
export async function runRound(options: RoundOptions): Promise<Round | Refusal | undefined> {
  const work = new Work(options);
  let after = options.after;
  do {
    const page = await options.mend.page(after);
    if (page.kind === 'refusal') return page;
    for (let start = 0; start < page.glances.length; start += AT_ONCE) {
      if (!options.goOn()) return undefined;
      const some = page.glances.slice(start, start + AT_ONCE);
      const refusals = await Promise.all(some.map((glance) => work.see(glance)));
      const refusal = refusals.find((one) => one !== undefined);
      if (refusal !== undefined) return refusal;
    }
    after = page.next;
    if (after !== '') await pause(options.clock, PAGE_PAUSE_MS);
    if (!options.goOn()) return undefined;
  } while (after !== '' && work.lookedAt < NAMES_MAX);
  return work.result(after);
}

class Work {
  lookedAt = 0;
  readonly #options: RoundOptions;
  readonly #findings: Finding[] = [];
  readonly #known = new Map<string, string>();
  #found = 0;
  #closer = 0;

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  result(next: string): Round {
    return {
      kind: 'round',
      findings: this.#findings,
      found: this.#found,
      lookedAt: this.lookedAt,
      known: this.#known,
      next,
    };
  }

  async see(glance: Glance): Promise<Refusal | undefined> {
    const { resource, holders, queueLength, lined, mark, split } = glance;
    const { tally, mend, known } = this.#options;
    this.lookedAt += 1;
    const counts = !resource.startsWith(OWN);
    if (counts) tally.held(resource, holders);
    const changed = split || known.get(resource) !== mark;
    if (!changed) this.#known.set(resource, mark);
    if (!lined && !(changed && this.#closer < CLOSER_MAX)) return undefined;
    if (changed) this.#closer += 1;
    const sight = await mend.look(resource, split);
    if (sight.kind === 'refusal') return sight;
    if (counts) tally.waiting(resource, queueLength, sight.waiters);
    if (changed) await this.#past(sight);
    if (sight.remains.length > 0) await this.#mend(sight);
    else if (!split) this.#known.set(resource, mark);
    return undefined;
  }

  async #mend(sight: Sight): Promise<void> {
    const { mend, dryRun } = this.#options;
    const findings = dryRun
      ? sight.remains.map(({ finding }) => ({ ...finding, mended: false }))
      : await mend.mend(sight);
    this.#found += findings.length;
    this.#findings.push(...findings.slice(0, Math.max(0, FINDINGS_MAX - this.#findings.length)));
    if (dryRun || this.#options.backfill === undefined) return;
    // What it did is history now as well.
    const after = await mend.look(sight.resource, true);
    if (after.kind === 'sight') await this.#past(after);
  }

  async #past({ resource, events }: Sight): Promise<void> {
    if (this.#options.dryRun || resource.startsWith(OWN) || events.length === 0) return;
    await this.#options.backfill?.(events);
  }
}
