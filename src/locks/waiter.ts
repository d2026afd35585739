/**
 * One waiter at this replica, from its first question to its grant or its leaving.
 *
 *            enter
 *              │
 *              ▼        not now
 *           ASKING ───────────────▶ QUEUED
 *            │  ▲                    │  │
 *    granted │  └────────────────────┘  │ elapsed, gone, draining, refused
 *            ▼        its turn          ▼
 *          SERVED                     LEFT
 *
 * ASKING  an attempt is out, and no other may start. What is heard meanwhile (a wake, that it may go) is kept.
 * QUEUED  it stands in line, or its joining is on the way. A majority of nodes that let it have what it wants is its
 *         TURN, and starts the next attempt. What nodes say is believed once: an attempt begins with a blank sheet,
 *         so a wake that was wrong costs one vote and no more.
 * SERVED  it holds the lease. LEFT: it gave up, or was told to. Both are final.
 *
 * An end that comes while ASKING waits for the attempt: a grant that raced with it is still good for `elapsed`, and is
 * given back for `gone` (attempt.ts asks the caller).
 */

import type { Refusal } from '../domain/refusals.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import type { LineView, NodeHolder, Place } from '../nodes/node.ts';
import { assert } from '../std/assert.ts';
import type { Audience } from './audience.ts';
import { preference } from './sight.ts';
import type { TracedAsk } from './traced.ts';

export type WaiterState = 'asking' | 'queued' | 'served' | 'left';

/** Why a wait is over without a lease. */
export type WaitEnd =
  | { readonly kind: 'elapsed' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export type Call = { readonly kind: 'turn'; readonly names: readonly string[] } | WaitEnd;

const FOLLOWS: Readonly<Record<WaiterState, readonly WaiterState[]>> = {
  asking: ['queued', 'served', 'left'],
  queued: ['asking', 'left'],
  served: [],
  left: [],
};

export class Waiter {
  /** As it stands in line; an earlier place of the same request may be kept (line.ts of the nodes). */
  place: Place;
  /** A question with its place has left for the nodes: until then it stands nowhere. */
  joined = false;
  /** It was not served by its first attempt. */
  waited = false;
  /** The highest fence that a turn was told with: the next token has to pass it. */
  fence: Token = NO_TOKEN;
  /** The leaseRefs of its attempts: what nodes still show of them holds nothing. */
  readonly attempts = new Set<string>();
  /** What most nodes last said of the line. */
  line: LineView | undefined;
  /** Present if somebody wants to hear where it stands. */
  audience: Audience | undefined;
  /** Present if its call is traced. */
  traced: TracedAsk | undefined;
  /** When somebody let go of what it wants, through this replica. */
  freedMs: number | undefined;
  /** Who was in its way when it asked last. */
  inTheWay: readonly NodeHolder[] = [];
  /** Another call of the same request may be served, and this one then has its lease as well. */
  readonly repeatable: boolean;
  /** For what reasons it has asked again already. */
  readonly #askedAgain = new Set<string>();
  readonly #majority: number;
  readonly #nodes: number;
  /** Its resources, in the order in which it takes them if it does not need all. */
  readonly #preference: readonly string[];
  /** Which nodes would let it have each resource. */
  readonly #ready = new Map<string, Set<number>>();
  #state: WaiterState = 'asking';
  #end: WaitEnd | undefined;
  #called: ((call: Call) => void) | undefined;

  constructor(place: Place, nodes: number, majority: number, repeatable = false) {
    this.place = place;
    this.repeatable = repeatable;
    this.#nodes = nodes;
    this.#majority = majority;
    this.#preference = place.any === 0 ? place.resources : preference(place.owner, place.resources);
  }

  get state(): WaiterState {
    return this.#state;
  }

  get ending(): WaitEnd | undefined {
    return this.#end;
  }

  /** Resolves with its turn, or with why there is none. Enters QUEUED; ends it in ASKING or LEFT. */
  turn(): Promise<Call> {
    this.waited = true;
    this.#become('queued');
    return new Promise((resolve) => {
      this.#called = resolve;
      if (this.#end !== undefined) this.#leave(this.#end);
    });
  }

  /** One node would let it have `resource` now, or not any more. */
  mark(resource: string, node: number, ready = true): void {
    const nodes = this.#ready.get(resource);
    if (!ready) nodes?.delete(node);
    else if (nodes === undefined) this.#ready.set(resource, new Set([node]));
    else nodes.add(node);
  }

  markAll(resource: string): void {
    for (let node = 0; node < this.#nodes; node += 1) this.mark(resource, node);
  }

  /** What one node said of the line that it stands in. */
  hear(node: number, line: LineView): void {
    this.line = line;
    if (line.ticket > 0 && line.order < this.place.order) {
      this.place = { ...this.place, ticket: line.ticket, order: line.order };
    }
    for (const resource of line.free) this.mark(resource, node);
  }

  /** The next token has to pass this. */
  pass(fence: Token): void {
    this.fence = maxToken(this.fence, fence);
  }

  /** What it could have by now: all that it wants, or enough of it; undefined while that is not so. */
  obtainable(): readonly string[] | undefined {
    const { resources, any } = this.place;
    const wanted = any || resources.length;
    const names = this.#preference.filter((name) => (this.#ready.get(name)?.size ?? 0) >= this.#majority);
    return names.length >= wanted ? names.slice(0, wanted) : undefined;
  }

  /** Starts its attempt at `names`; true unless an attempt is out already, or the wait over. */
  call(names: readonly string[]): boolean {
    if (this.#state !== 'queued' || this.#called === undefined) return false;
    const called = this.#called;
    this.#called = undefined;
    this.#become('asking');
    this.#ready.clear();
    called({ kind: 'turn', names });
    return true;
  }

  /**
   * Only a hold tells whether another call of the same request was served. Starts one, once for each reason to think so;
   * true if it did.
   */
  askAgain(reason: string): boolean {
    if (!this.repeatable || this.#askedAgain.has(reason) || this.#state !== 'queued') return false;
    this.#askedAgain.add(reason);
    const { any, resources } = this.place;
    return this.call(this.#preference.slice(0, any || resources.length));
  }

  /** Ends the wait: at once while queued, after the attempt while asking. The first end counts. */
  end(end: WaitEnd): void {
    if (this.#end !== undefined || this.#state === 'served' || this.#state === 'left') return;
    this.#end = end;
    if (this.#state === 'queued' && this.#called !== undefined) this.#leave(end);
  }

  serve(): void {
    this.#become('served');
  }

  /** The attempt that is out was the last: its refusal is final. */
  giveUp(): void {
    assert(this.#state !== 'queued', 'a waiter that is queued has no attempt to give up after');
    this.#become('left');
  }

  #leave(end: WaitEnd): void {
    const called = this.#called;
    this.#called = undefined;
    this.#become('left');
    called?.(end);
  }

  #become(next: WaiterState): void {
    assert(FOLLOWS[this.#state].includes(next), `a waiter goes from ${this.#state} to ${next}`);
    this.#state = next;
  }
}
