/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '../../src/clock.ts';

interface Due {
  readonly dueMs: number;
  readonly act: () => void;
  readonly keepsAlive: boolean;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #due = new Set<Due>();
  #secrets = 0;

  get timers(): number {
    return this.#due.size;
  }

  get keptAlive(): boolean {
    return [...this.#due].some(({ keepsAlive }) => keepsAlive);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, act: () => void, keepsAlive: boolean): Timer {
    const due = { dueMs: this.#nowMs + Math.max(0, delayMs), act, keepsAlive };
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }

  fraction(): number {
    return 0.5;
  }

  secret(): string {
    this.#secrets += 1;
    return `secret-${this.#secrets}`;
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#due].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#due.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.act();
    }
    this.#nowMs = untilMs;
  }
}
