/** The line that people see while a command waits for its lease: its place, who is in the way, and since when. */
import type { Clock, Timer } from '../../std/clock.ts';
import { plain, relative } from '../format.ts';

/** What the client tells of a wait, as far as it is shown. */
export interface Queue {
  readonly position: number;
  readonly queueLength: number;
  readonly holders: readonly InTheWay[];
}

export interface InTheWay {
  readonly resource: string;
  readonly owner: string;
  readonly acquireTime: Date | undefined;
  readonly progress: string;
}

/** Where the line is written. */
export interface Screen {
  readonly write: (text: string) => void;
  /** One line is rewritten; elsewhere each change is a new line. */
  readonly isTerminal: boolean;
  readonly columns: number;
}

const REWRITE = '\r\u001b[K';
const REFRESH_MS = 1000;

export function holderText({ resource, owner, acquireTime, progress }: InTheWay, nowMs: number): string {
  const since = acquireTime === undefined ? '' : ` since ${sinceText(acquireTime.getTime(), nowMs)}`;
  return `${resource} is held by ${owner}${since}${progress === '' ? '' : ` (${progress})`}`;
}

/** By the clock for a log that is read later, and by how long for whoever looks at it now. */
function sinceText(atMs: number, nowMs: number): string {
  return `${new Date(atMs).toISOString().slice(11, 19)}Z (${relative(Math.min(atMs, nowMs), nowMs)})`;
}

export function queueText(
  resources: readonly string[],
  { position, queueLength, holders }: Queue,
  nowMs: number,
): string {
  const place = position > 0 ? `place ${position} of ${Math.max(position, queueLength)}` : 'in line';
  const [first, ...others] = holders;
  const who = first === undefined ? 'others stand ahead' : holderText(first, nowMs);
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return plain(`waiting for ${resources.join(' ')}: ${place}; ${who}${more}`);
}

export class WaitingLine {
  readonly #resources: readonly string[];
  readonly #screen: Screen;
  readonly #clock: Clock;
  #queue: Queue | undefined;
  #timer: Timer | undefined;
  #shown = '';

  constructor(resources: readonly string[], screen: Screen, clock: Clock) {
    this.#resources = resources;
    this.#screen = screen;
    this.#clock = clock;
  }

  show(queue: Queue): void {
    this.#queue = queue;
    // Who, not for how long: time that passes is no change.
    const holders = queue.holders.map(({ resource, owner, progress }) => [resource, owner, progress]);
    const facts = JSON.stringify([queue.position, queue.queueLength, holders]);
    if (facts === this.#shown) return;
    this.#shown = facts;
    this.#write();
  }

  /** Leaves the cursor at the start of an empty line. */
  end(): void {
    this.#timer?.cancel();
    if (this.#queue !== undefined && this.#screen.isTerminal) this.#screen.write(REWRITE);
    this.#queue = undefined;
  }

  #write(): void {
    if (this.#queue === undefined) return;
    const text = `holdfast run: ${queueText(this.#resources, this.#queue, this.#clock.wallMicros() / 1000)}`;
    if (!this.#screen.isTerminal) {
      this.#screen.write(`${text}\n`);
      return;
    }
    // A line that wraps could not be rewritten.
    this.#screen.write(`${REWRITE}${text.slice(0, Math.max(20, this.#screen.columns - 1))}`);
    this.#timer?.cancel();
    this.#timer = this.#clock.after(REFRESH_MS, () => this.#write());
  }
}
