/** The metrics of the archive. */
import type { HistoryGap } from '../../locks/locks.ts';
import { type Family, Numbers } from '../families.ts';

const REASONS: readonly HistoryGap['reason'][] = ['dropped', 'failed'];

export class ArchiveNumbers {
  readonly #up = new Numbers(
    'gauge',
    'holdfast_archive_up',
    '1 while the archive takes history, 0 while it does not; absent with HOLDFAST_ARCHIVE=off.',
  );
  readonly #lost = new Numbers(
    'counter',
    'holdfast_archive_lost_events_total',
    'Events that the archive will never have: dropped on the way, or not taken by it.',
    ['reason'],
  );
  readonly #added = new Numbers(
    'counter',
    'holdfast_archive_events_total',
    'Events that this replica brought into the archive.',
  );
  readonly #trimmed = new Numbers(
    'counter',
    'holdfast_archive_trimmed_events_total',
    'Oldest events that were deleted before their time, because the archive may take no more room.',
  );
  readonly families: readonly Family[];

  /** `off`: nobody wants one, so that it is away is no fault. */
  constructor(off: boolean) {
    for (const reason of REASONS) this.#lost.of(reason);
    const always = [this.#lost, this.#added, this.#trimmed];
    this.families = off ? always : [this.#up, ...always];
  }

  up(is: boolean): void {
    this.#up.of().value = is ? 1 : 0;
  }

  lost(reason: HistoryGap['reason'], events: number): void {
    this.#lost.of(reason).value += events;
  }

  added(rows: number): void {
    this.#added.of().value += rows;
  }

  trimmed(rows: number): void {
    this.#trimmed.of().value += rows;
  }
}
