/** The streams that keep leases and stand now, so that a drain can tell them, wait for them and end them. */
import type { Refusal } from '../domain/refusals.ts';
import type { Connection } from './connections.ts';
import type { CallContext } from './lock-calls.ts';
import type { Tracing } from './tracing.ts';

export type StreamKind = 'hold' | 'session';

export interface Standing {
  readonly kind: StreamKind;
  /** The replica goes down and serves on for so long. From now on the end of the stream releases nothing. */
  drain(remainingMs: number): void;
  /** The time is up: ends it with this status. */
  end(refusal: Refusal): void;
  /** It stands no longer. Called once. */
  onDeleted(): void;
}

export class Streams {
  readonly #standing = new Set<Standing>();
  readonly #counts: Record<StreamKind, number> = { hold: 0, session: 0 };
  #waiting: (() => void)[] = [];

  add(stream: Standing): void {
    this.#standing.add(stream);
    this.#counts[stream.kind] += 1;
  }

  /** Once what becomes of its leases is decided. */
  delete(stream: Standing): void {
    if (!this.#standing.delete(stream)) return;
    this.#counts[stream.kind] -= 1;
    stream.onDeleted();
    if (this.#standing.size > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  count(kind: StreamKind): number {
    return this.#counts[kind];
  }

  drain(remainingMs: number): void {
    for (const stream of [...this.#standing]) stream.drain(remainingMs);
  }

  end(refusal: Refusal): void {
    for (const stream of [...this.#standing]) stream.end(refusal);
  }

  /** Resolves when none stands. */
  idle(): Promise<void> {
    if (this.#standing.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export interface StreamContext extends CallContext {
  readonly streams: Streams;
  /** Present while tracing is on. */
  readonly tracing?: Pick<Tracing, 'session'> | undefined;
  readonly connections: { of(peer: string): Connection | undefined };
}
