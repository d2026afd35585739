/** Hands each new connection to the worker that has the fewest: gRPC keeps connections for hours, so taking turns is not enough. */
import type { Socket } from 'node:net';

/** A worker as far as connections go. */
export interface Taker {
  readonly number: number;
  give(socket: Socket, at: number): void;
}

/** Handed over and not yet confirmed, at one worker: one that hangs must not collect the callers of the others. */
const UNCONFIRMED_MAX = 8;
/** What waits while no worker can take it, as the backlog of a listening socket does; beyond, callers are cut off. */
const WAITING_MAX = 512;

interface Caller {
  readonly socket: Socket;
  readonly at: number;
}

interface Standing {
  readonly taker: Taker;
  readonly unconfirmed: Caller[];
  open: number;
}

export class Connections {
  readonly #standing = new Map<number, Standing>();
  readonly #waiting: Caller[] = [];
  #closed = false;

  add(taker: Taker): void {
    this.#standing.set(taker.number, { taker, unconfirmed: [], open: 0 });
    this.#serve();
  }

  /** Takes no more. What it has not confirmed is for the others: it is gone, or closes what it is given. */
  retire(number: number): void {
    const standing = this.#standing.get(number);
    if (standing === undefined) return;
    this.#standing.delete(number);
    this.#waiting.unshift(...standing.unconfirmed);
    if (this.#closed) this.close();
    this.#serve();
  }

  offer(socket: Socket, at: number): void {
    if (this.#closed || this.#waiting.length >= WAITING_MAX) {
      socket.destroy();
      return;
    }
    // Nobody else listens while it waits, and an error without a listener ends the process.
    socket.on('error', () => {});
    this.#waiting.push({ socket, at });
    this.#serve();
  }

  /** The oldest that this worker was given is open there. */
  confirmed(number: number): void {
    this.#standing.get(number)?.unconfirmed.shift()?.socket.destroy();
    this.#serve();
  }

  ended(number: number, count: number): void {
    const standing = this.#standing.get(number);
    if (standing !== undefined) standing.open -= count;
  }

  /** By the number of the worker. */
  open(): ReadonlyMap<number, number> {
    return new Map([...this.#standing].map(([number, { open }]) => [number, open]));
  }

  close(): void {
    this.#closed = true;
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      const next = this.#next();
      if (next === undefined) return;
      const caller = this.#waiting.shift()!;
      if (caller.socket.destroyed) continue;
      next.open += 1;
      next.unconfirmed.push(caller);
      // To the end of the map: of those that have as many, the one whose last turn is longest ago comes next.
      this.#standing.delete(next.taker.number);
      this.#standing.set(next.taker.number, next);
      next.taker.give(caller.socket, caller.at);
    }
  }

  #next(): Standing | undefined {
    let best: Standing | undefined;
    for (const standing of this.#standing.values()) {
      if (standing.unconfirmed.length >= UNCONFIRMED_MAX) continue;
      if (best === undefined || standing.open < best.open) best = standing;
    }
    return best;
  }
}
