/** Lets so many go on at once, the others in their order: ten thousand streams may end in one moment. */
export class Pace {
  readonly #most: number;
  readonly #onDefect: (cause: unknown) => void;
  readonly #waiting = new Set<() => Promise<unknown>>();
  #running = 0;
  readonly #idle: (() => void)[] = [];

  /** What is let go on should not fail; if it does, `onDefect` is told, and the others go on. */
  constructor(most: number, onDefect: (cause: unknown) => void) {
    this.#most = most;
    this.#onDefect = onDefect;
  }

  /** At once where there is room: whoever waits for a lock that is let go must not wait for a turn of the loop. */
  run(act: () => Promise<unknown>): void {
    if (this.#running >= this.#most) this.#waiting.add(act);
    else this.#start(act);
  }

  /** Resolves when nothing is under way or waits. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #start(act: () => Promise<unknown>): void {
    this.#running += 1;
    void act()
      .catch(this.#onDefect)
      .finally(() => this.#next());
  }

  #next(): void {
    this.#running -= 1;
    const [next] = this.#waiting;
    if (next !== undefined) {
      this.#waiting.delete(next);
      this.#start(next);
    }
    if (this.#running > 0) return;
    for (const wake of this.#idle.splice(0)) wake();
  }
}

/** For what should never fail and has: the service goes on, and its log has the cause. */
export function defectNotice(
  probe: { notice(level: 'error', message: string, facts: Record<string, unknown>): void },
  message: string,
): (cause: unknown) => void {
  return (cause) =>
    probe.notice('error', message, { cause: cause instanceof Error ? cause.stack : String(cause) });
}
