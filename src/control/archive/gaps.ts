/** What the archive has missed and does not know of yet: kept until it can be told, merged so that it stays small. */
import type { HistoryGap } from '../../locks/locks.ts';
import type { StoredGap } from './store.ts';

type Why = HistoryGap['reason'];

interface Open {
  readonly id: string;
  fromMs: number;
  untilMs: number;
  events: number;
  /** Counts changes: what grew while it was being written is written again. */
  changes: number;
}

export interface Told {
  readonly gaps: readonly StoredGap[];
  /** The archive has them. */
  confirmed(): void;
}

/** One stretch for each reason, however many there were: between two of them the archive took nothing either. */
export class Gaps {
  readonly #open = new Map<Why, Open>();
  readonly #writer: string;
  #count = 0;

  constructor(writer: string) {
    this.#writer = writer;
  }

  add(reason: Why, events: number, fromMs: number, untilMs: number): void {
    const gap = this.#open.get(reason);
    if (gap === undefined) {
      this.#count += 1;
      const id = `${this.#writer}.${this.#count}`;
      this.#open.set(reason, { id, fromMs, untilMs, events, changes: 0 });
      return;
    }
    gap.fromMs = Math.min(gap.fromMs, fromMs);
    gap.untilMs = Math.max(gap.untilMs, untilMs);
    gap.events += events;
    gap.changes += 1;
  }

  get some(): boolean {
    return this.#open.size > 0;
  }

  /** Those that the archive does not have yet, or has shorter, by their ids. */
  all(): ReadonlyMap<string, HistoryGap> {
    return new Map(
      [...this.#open].map(([reason, { id, fromMs, untilMs, events }]) => [
        id,
        { fromMs, untilMs, events, reason },
      ]),
    );
  }

  /** What failed to be written stays open under its id, so that writing it again, longer, leaves one row. */
  tell(): Told {
    const told = [...this.#open].map(([reason, gap]) => ({ reason, gap, changes: gap.changes }));
    return {
      gaps: told.map(({ reason, gap }) => ({
        id: gap.id,
        fromUs: Math.floor(gap.fromMs * 1000),
        untilUs: Math.ceil(gap.untilMs * 1000),
        events: gap.events,
        reason,
        writer: this.#writer,
      })),
      confirmed: () => {
        for (const { reason, gap, changes } of told) {
          if (this.#open.get(reason) === gap && gap.changes === changes) this.#open.delete(reason);
        }
      },
    };
  }
}
