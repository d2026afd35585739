/** One thread of control of a client process: asks, holds, works under what it holds, lets go, and writes all of it down. */
import type { Asked, Fault, Released, Wrote } from '../harness/history/history.ts';
import { block, nowMs, pause } from '../harness/pace.ts';
import type { Dice } from '../sim/dice.ts';
import { type Asking, Holding } from './holding.ts';
import type { Journal } from './journal.ts';
import type { Answer, Lease, Locker } from './locker.ts';
import type { Orders } from './orders.ts';
import type { Register } from './register.ts';

/** How often a holder looks whether it still holds. */
const STEP_MS = 20;
const REPEATS = 3;

export interface Room {
  readonly orders: Orders;
  readonly journal: Journal;
  readonly register: Register;
  /** Aborted when the run is over. */
  readonly stop: AbortSignal;
  /** Aborted when all faults are over, and with them those of this process. */
  readonly healed: AbortSignal;
}

export class Worker {
  readonly #room: Room;
  readonly #locker: Locker;
  readonly #owner: string;
  readonly #dice: Dice;
  #serial = 0;

  constructor(room: Room, locker: Locker, name: string, dice: Dice) {
    this.#room = room;
    this.#locker = locker;
    this.#owner = name;
    this.#dice = dice;
  }

  async run(): Promise<void> {
    const { stop } = this.#room;
    while (!stop.aborted) {
      await pause(this.#dice.spread(1, 120), stop);
      if (stop.aborted) return;
      if (this.#locker.force !== undefined && !this.#room.orders.plain && this.#dice.chance(0.01)) {
        await this.#force();
      }
      await this.#round(this.#wish());
    }
  }

  #wish(): Asking {
    const { resources, ttlMs, plain } = this.#room.orders;
    const dice = this.#dice;
    const several = !plain && dice.chance(0.15);
    const first = dice.whole(0, resources.length - 1);
    const second = (first + dice.whole(1, resources.length - 1)) % resources.length;
    this.#serial += 1;
    return {
      resources: several ? [resources[first]!, resources[second]!] : [resources[first]!],
      mode: !plain && dice.chance(0.12) ? 'shared' : 'exclusive',
      any: several && dice.chance(0.5) ? 1 : 0,
      priority: !plain && dice.chance(0.1) ? dice.whole(1, 3) : 0,
      requestId: !plain && dice.chance(0.3) ? `${this.#owner}#${this.#serial}` : '',
      owner: this.#owner,
      ttlMs: plain ? ttlMs : Math.round(ttlMs * dice.pick([0.6, 0.8, 1])),
      waitMs: dice.chance(0.65) ? dice.spread(300, 4000) : 0,
    };
  }

  async #round(wish: Asking): Promise<void> {
    let answer = await this.#ask(wish);
    let before: Lease | undefined;
    // The same request once more: without an answer, or although there was one.
    for (let round = 0; wish.requestId !== '' && round < REPEATS && !this.#room.stop.aborted; round += 1) {
      const known = answer.kind === 'granted' && this.#dice.chance(0.3);
      if (answer.kind !== 'unknown' && !known) break;
      if (answer.kind === 'granted') {
        before = answer.lease;
        before.forget();
      }
      answer = await this.#ask(wish);
    }
    if (answer.kind === 'granted') await this.#hold(answer.lease, wish);
    else if (before !== undefined) await this.#release(before);
  }

  async #ask(wish: Asking): Promise<Answer> {
    const { orders, journal, stop } = this.#room;
    const { resources, mode, any, priority, requestId, owner, waitMs } = wish;
    const asked: Asked = {
      kind: 'acquire',
      client: orders.name,
      owner,
      resources,
      mode,
      any,
      priority,
      requestId,
      waits: waitMs > 0,
      calledMs: nowMs(),
      outcome: 'unknown',
    };
    const id = journal.begin(asked);
    let queuedMs: number | undefined;
    const onQueued = (): void => {
      queuedMs ??= nowMs();
    };
    const answer = await this.#locker.acquire({ ...wish, signal: stop, onQueued });
    const queued = queuedMs === undefined ? {} : { queuedMs };
    const told = { ...asked, ...queued, answeredMs: nowMs(), outcome: answer.kind };
    if (answer.kind === 'granted') {
      const { leaseRef, token, replayed, resources: given } = answer.lease;
      journal.put(id, { ...told, grant: { leaseRef, token, resources: given, replayed } });
    } else {
      journal.put(id, answer.kind === 'busy' ? told : { ...told, reason: answer.reason });
    }
    return answer;
  }

  async #hold(lease: Lease, wish: Asking): Promise<void> {
    const { orders, journal } = this.#room;
    const holding = new Holding(lease, wish, orders, journal);
    const [resource = ''] = lease.resources;
    const works = wish.mode === 'exclusive' && holding.look();
    const seen = works ? await this.#read(resource, lease.token) : undefined;
    const longestMs = this.#dice.chance(0.15) ? 2.5 * orders.ttlMs : 0.5 * orders.ttlMs;
    const endMs = nowMs() + this.#dice.spread(5, longestMs);
    while (holding.look() && nowMs() < endMs && !this.#room.stop.aborted) {
      await pause(Math.min(STEP_MS, endMs - nowMs()), this.#room.stop);
    }
    if (seen !== undefined && holding.look()) {
      // It has looked, and is stopped before it acts: what no lease can prevent.
      if (!this.#room.healed.aborted) await this.#stall(lease);
      await this.#write(resource, lease.token, seen);
    }
    holding.close();
    if (this.#dice.chance(0.03) && lease.forget()) return;
    await this.#release(lease);
  }

  /** It alone, with its heartbeats, or the whole process. */
  async #stall(lease: Lease): Promise<void> {
    const { ttlMs, plain } = this.#room.orders;
    if (!plain && this.#dice.chance(0.25) && lease.forget()) {
      const fault: Fault = { kind: 'fault', name: 'holder stalled', where: this.#owner, atMs: nowMs() };
      await pause(this.#dice.spread(ttlMs, 3 * ttlMs), this.#room.stop);
      this.#room.journal.begin({ ...fault, untilMs: nowMs() });
    }
    if (!this.#dice.chance(0.06)) return;
    const fromMs = nowMs();
    block(this.#dice.spread(0.7 * ttlMs, 3 * ttlMs));
    this.#room.journal.stall(fromMs, nowMs(), true);
  }

  async #read(resource: string, token: bigint): Promise<Seen | undefined> {
    const { register, orders } = this.#room;
    try {
      const twin = await register.readTwin(resource);
      if (orders.subject !== 'holdfast') return { twin };
      const fenced = await register.read(resource, token);
      return fenced === undefined ? { twin } : { twin, fenced };
    } catch {
      return undefined;
    }
  }

  async #write(resource: string, token: bigint, seen: Seen): Promise<void> {
    const { register } = this.#room;
    const twin = (value: string) => register.writeTwin(resource, value).then(() => true);
    await this.#note('twin', resource, token, seen.twin, twin);
    if (seen.fenced === undefined) return;
    await this.#note('fenced', resource, token, seen.fenced, (value) =>
      register.write(resource, token, value),
    );
  }

  async #note(
    register: 'fenced' | 'twin',
    resource: string,
    token: bigint,
    read: string,
    write: (value: string) => Promise<boolean>,
  ): Promise<void> {
    const { orders, journal } = this.#room;
    this.#serial += 1;
    const wrote = `${this.#owner}#${this.#serial}`;
    const entry: Wrote = {
      kind: 'write',
      client: orders.name,
      resource,
      register,
      token,
      read,
      wrote,
      calledMs: nowMs(),
      outcome: 'unknown',
    };
    const id = journal.begin(entry);
    const done = await write(wrote).catch(() => undefined);
    if (done === undefined) return;
    journal.put(id, { ...entry, answeredMs: nowMs(), outcome: done ? 'written' : 'stale' });
  }

  async #release(lease: Lease): Promise<void> {
    const { orders, journal } = this.#room;
    const entry: Released = {
      kind: 'release',
      client: orders.name,
      leaseRef: lease.leaseRef,
      calledMs: nowMs(),
      outcome: 'unknown',
    };
    const id = journal.begin(entry);
    const released = await lease.release().catch(() => undefined);
    if (released === undefined) return;
    journal.put(id, { ...entry, answeredMs: nowMs(), outcome: released ? 'released' : 'gone' });
  }

  async #force(): Promise<void> {
    const resource = this.#dice.pick(this.#room.orders.resources);
    const entry = { kind: 'force', resource, calledMs: nowMs(), leaseRefs: [] } as const;
    const id = this.#room.journal.begin(entry);
    const leaseRefs = await this.#locker.force?.(resource).catch(() => undefined);
    if (leaseRefs !== undefined) this.#room.journal.put(id, { ...entry, leaseRefs, answeredMs: nowMs() });
  }
}

/** What the registers held when a holder began. */
interface Seen {
  readonly twin: string;
  readonly fenced?: string;
}
