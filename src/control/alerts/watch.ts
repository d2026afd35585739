/** Looks at a rhythm at what nobody announces: how many nodes may still be lost, and which counters of trouble rise. */
import type { Clock, Timer } from '../../std/clock.ts';
import { type Snapshot, totalOf } from '../merge.ts';
import type { Alert, Kind } from './alert.ts';
import type { Board } from './board.ts';

export interface WatchOptions {
  readonly board: Board;
  readonly clock: Clock;
  /** Undefined: another process of this service tells of nodes. */
  readonly margin: (() => number) | undefined;
  readonly snapshot: () => Promise<Snapshot>;
  /** Refused callers in a minute from which on it is told. */
  authFailures: number;
}

export const LOOK_MS = 1000;
/** A margin that comes back for a moment has not come back. */
const CALM_MS = 5000;
/** A counter that has not risen for so long: its trouble is over. */
const QUIET_MS = 300_000;
const MINUTE_MS = 60_000;
/** An archive that is away for a moment loses nothing. */
const AWAY_MS = 3000;

/** Counters whose rise is an alert; one for each value of the label, where there is one. */
const RISES: readonly {
  readonly kind: Kind;
  readonly metric: string;
  readonly label?: string;
  readonly words: (count: number, label: string) => string;
}[] = [
  {
    kind: 'archive_gap',
    metric: 'holdfast_archive_lost_events_total',
    words: (count) => `${count} events are missing from the archive`,
  },
  {
    kind: 'audit_failed',
    metric: 'holdfast_audit_failures_total',
    words: (count) => `${count} entries could not be written to the audit log`,
  },
  {
    kind: 'sink_failing',
    metric: 'holdfast_sink_failures_total',
    label: 'sink',
    words: (count, sink) => `the sink ${sink} failed ${count} times`,
  },
  {
    kind: 'sink_failing',
    metric: 'holdfast_sink_dropped_total',
    label: 'sink',
    words: (count, sink) => `${count} events were dropped before the sink ${sink} took them`,
  },
  {
    kind: 'sink_failing',
    metric: 'holdfast_events_dropped_total',
    words: (count) => `${count} events were dropped before any sink could take them`,
  },
];

interface Rise {
  /** At the last look, and when the trouble began. */
  value: number;
  from: number;
  atMs: number;
  firing: boolean;
}

export class Watch {
  authFailures: number;
  readonly #options: WatchOptions;
  readonly #rises = new Map<string, Rise>();
  /** Times and totals of the last minute, oldest first. */
  readonly #refused: { readonly atMs: number; readonly total: number }[] = [];
  #badMs = Number.NEGATIVE_INFINITY;
  /** Since when the archive has been away. */
  #awayMs: number | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.authFailures = options.authFailures;
  }

  begin(): void {
    void this.look().finally(() => {
      if (!this.#stopped) this.#timer = this.#options.clock.after(LOOK_MS, () => this.begin());
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async look(): Promise<void> {
    const { board, margin, snapshot } = this.#options;
    board.remind();
    if (margin !== undefined) this.#quorum(margin());
    // A scrape that fails is no alert, and is seen where metrics are scraped.
    const seen = await snapshot().catch(() => undefined);
    if (seen === undefined || this.#stopped) return;
    for (const { kind, metric, label, words } of RISES) {
      for (const [name, total] of totals(seen, metric, label)) this.#risen(kind, metric, name, total, words);
    }
    this.#archive(seen);
    this.#callers(totalOf(seen, 'holdfast_auth_failures_total'));
  }

  #quorum(margin: number): void {
    const { board } = this.#options;
    const nowMs = this.#options.clock.monotonicMs();
    const key = 'quorum_margin_zero';
    if (margin > 0) {
      if (nowMs - this.#badMs >= CALM_MS) board.over(key, `${margin} more lock nodes may be lost`);
      return;
    }
    this.#badMs = nowMs;
    const summary =
      margin === 0
        ? 'the loss of one more lock node stops the service'
        : `no majority of lock nodes: ${-margin} are missing, and nothing is granted`;
    board.raise(this.#alert('quorum_margin_zero', key, summary, { margin: String(margin) }));
  }

  #risen(
    kind: Kind,
    metric: string,
    name: string,
    total: number,
    words: (count: number, label: string) => string,
  ): void {
    const nowMs = this.#options.clock.monotonicMs();
    const id = `${metric} ${name}`;
    const key = name === '' ? kind : `${kind} ${name} ${metric}`;
    const rise = this.#rises.get(id);
    // What had risen before the first look is no news of ours, but nobody was told of it either.
    const before = rise ?? { value: 0, from: 0, atMs: nowMs, firing: false };
    this.#rises.set(id, before);
    if (total > before.value) {
      if (!before.firing) before.from = before.value;
      before.firing = true;
      before.atMs = nowMs;
      before.value = total;
      const facts = name === '' ? {} : { sink: name };
      const summary = words(total - before.from, name);
      this.#options.board.raise(this.#alert(kind, key, summary, facts));
    } else if (before.firing && nowMs - before.atMs >= QUIET_MS) {
      before.firing = false;
      this.#options.board.over(key);
    }
  }

  /** Not there where no archive is wanted. */
  #archive(seen: Snapshot): void {
    const { board } = this.#options;
    const up = totals(seen, 'holdfast_archive_up', undefined).get('');
    const key = 'archive_gap away';
    const nowMs = this.#options.clock.monotonicMs();
    if (up !== 0) {
      this.#awayMs = undefined;
      board.over(key, 'the archive takes events again');
      return;
    }
    this.#awayMs ??= nowMs;
    if (nowMs - this.#awayMs < AWAY_MS) return;
    board.raise(this.#alert('archive_gap', key, 'the archive takes no events', {}));
  }

  #callers(total: number): void {
    const { board } = this.#options;
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#refused;
    // The last one is what there was, however long ago.
    while (before.length > 1 && nowMs - (before[0]?.atMs ?? 0) > MINUTE_MS) before.shift();
    const oldest = before[0]?.total ?? 0;
    before.push({ atMs: nowMs, total });
    const count = total - oldest;
    const key = 'auth_failures';
    if (count >= this.authFailures) {
      const summary = `${count} callers were refused within a minute: not known, or not let in`;
      board.raise(this.#alert('auth_failures', key, summary, { count: String(count) }));
    } else board.over(key, 'callers that are not known have become few');
  }

  #alert(kind: Kind, key: string, summary: string, facts: Alert['facts']): Alert {
    return { kind, key, summary, timeMs: this.#options.clock.wallMicros() / 1000, facts };
  }
}

/** By the label's value; by '' without a label. */
function totals(snapshot: Snapshot, metric: string, label: string | undefined): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { name, values } of snapshot) {
    if (name !== metric) continue;
    for (const { labels, value } of values) {
      const at = label === undefined ? '' : String(labels[label] ?? '');
      sums.set(at, (sums.get(at) ?? 0) + value);
    }
  }
  return sums;
}
