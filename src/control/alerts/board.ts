/** What is firing here now: tells each thing once when it begins, again if it lasts, and when it is over. */
import type { Clock } from '../../std/clock.ts';
import type { Alert, Kind, Status } from './alert.ts';

/** Conditions that are followed, and events that are remembered; what is beyond is in the metrics. */
const KEYS_MAX = 10_000;

export interface BoardOptions {
  readonly clock: Clock;
  readonly tell: (status: Status, alert: Alert) => void;
  /** 0: never again. */
  repeatMs: number;
}

interface Standing {
  alert: Alert;
  toldMs: number;
}

export class Board {
  repeatMs: number;
  readonly #clock: Clock;
  readonly #tell: BoardOptions['tell'];
  readonly #standing = new Map<string, Standing>();
  /** Keys of events, oldest first. */
  readonly #past = new Set<string>();

  constructor({ clock, tell, repeatMs }: BoardOptions) {
    this.#clock = clock;
    this.#tell = tell;
    this.repeatMs = repeatMs;
  }

  /** Something that has no end; told once, however often it is heard of. */
  event(alert: Alert): void {
    if (this.#past.has(alert.key)) return;
    if (this.#past.size >= KEYS_MAX) {
      const [oldest = ''] = this.#past;
      this.#past.delete(oldest);
    }
    this.#past.add(alert.key);
    this.#tell('event', alert);
  }

  /** It is so, or still so. */
  raise(alert: Alert): void {
    const standing = this.#standing.get(alert.key);
    if (standing !== undefined) {
      standing.alert = alert;
      return;
    }
    if (this.#standing.size >= KEYS_MAX) return;
    this.#standing.set(alert.key, { alert, toldMs: this.#clock.monotonicMs() });
    this.#tell('firing', alert);
  }

  /** `summary`: how it is now, in words; absent: as it was raised. */
  over(key: string, summary?: string): void {
    const standing = this.#standing.get(key);
    if (standing === undefined) return;
    this.#standing.delete(key);
    const { alert } = standing;
    const timeMs = this.#clock.wallMicros() / 1000;
    this.#tell('resolved', { ...alert, timeMs, summary: summary ?? alert.summary });
  }

  /** All that there is of these kinds: others of them are over. */
  replace(kinds: readonly Kind[], now: readonly Alert[]): void {
    const present = new Set(now.map(({ key }) => key));
    for (const [key, { alert }] of this.#standing) {
      if (kinds.includes(alert.kind) && !present.has(key)) this.over(key);
    }
    for (const alert of now) this.raise(alert);
  }

  /** Neither so nor over, as far as this replica knows. */
  forget(kinds: readonly Kind[]): void {
    for (const [key, { alert }] of this.#standing) {
      if (kinds.includes(alert.kind)) this.#standing.delete(key);
    }
  }

  /** Tells again of what has lasted. */
  remind(): void {
    if (this.repeatMs === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const standing of this.#standing.values()) {
      if (nowMs - standing.toldMs < this.repeatMs) continue;
      standing.toldMs = nowMs;
      this.#tell('firing', standing.alert);
    }
  }

  /** For whoever comes to hear of it later. */
  standing(): readonly Alert[] {
    return [...this.#standing.values()].map(({ alert }) => alert);
  }
}
