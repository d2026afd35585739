/** Makes histories of a lock service that keeps its promises, with calls that overlap, are never answered or come late. */
import type { Asked, Entry, Held, Ms } from '../../harness/history/history.ts';
import { FencedRegister, UnfencedTwin } from '../../harness/history/register.ts';
import { asked, forced, healed, held, released, renewed, rest, unknown } from './entries.ts';

/** One step of a made-up run; each number is reduced to what it can mean. */
export interface Step {
  readonly what: number;
  readonly who: number;
  readonly where: number;
  /** How long before its effect it was called, and how long after it was answered; at most JITTER_MS. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly more: number;
}

export const JITTER_MS = 15;
export const RESOURCES = ['r0', 'r1'];
const STEP_MS = 10;

/** A lease as the service knows it; `knownMs`: its holder has read the answer. */
interface Lease {
  readonly ask: Asked;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly knownMs: Ms;
  /** Nobody knows of it: its call was not answered. */
  readonly secret: boolean;
  saw?: { readonly fenced: string | undefined; readonly twin: string };
}

interface Waiter {
  readonly ask: Asked;
  readonly order: number;
}

export class SoundRun {
  readonly entries: Entry[] = [];
  readonly priorityStepMs = 40;
  #nowMs = 100;
  #tokens = 0;
  #names = 0;
  readonly #standing: Lease[] = [];
  readonly #ended: Lease[] = [];
  #line: Waiter[] = [];
  readonly #fenced = new FencedRegister();
  readonly #twin = new UnfencedTwin();

  play(steps: readonly Step[]): Entry[] {
    for (const step of steps) {
      this.#nowMs += STEP_MS;
      this.#step(step);
    }
    this.#heal();
    return this.entries;
  }

  #step(step: Step): void {
    const lease = this.#standing[step.who % Math.max(1, this.#standing.length)];
    const old = this.#ended[step.who % Math.max(1, this.#ended.length)];
    const calledMs = this.#nowMs - step.beforeMs;
    // Nobody speaks of a lease before he knows of it.
    const mine = lease !== undefined && !lease.secret && calledMs > lease.knownMs ? lease : undefined;
    const theirs = old !== undefined && !old.secret && calledMs > old.knownMs ? old : undefined;
    const acts: [number, () => void][] = [
      [34, () => this.#ask(step)],
      [48, () => mine && this.#release(mine, step)],
      [54, () => mine && this.#renew(mine, step)],
      [60, () => lease && this.#expire(lease)],
      [66, () => this.#repeat(lease ?? old, step)],
      [72, () => theirs && this.#late(theirs, step)],
      [75, () => mine && this.#force(mine, step)],
      [79, () => this.#giveUp(step)],
      [90, () => this.#read(mine ?? theirs)],
      [100, () => this.#write(step)],
    ];
    acts.find(([share]) => step.what < share)![1]();
  }

  #ask(step: Step): void {
    this.#names += 1;
    const several = step.more % 7 === 0;
    const ask = asked({
      client: `c${this.#names}`,
      resources: several ? RESOURCES : [RESOURCES[step.where % RESOURCES.length]!],
      mode: step.more % 4 === 1 ? 'shared' : 'exclusive',
      priority: step.more % 3 === 2 ? step.where % 3 : 0,
      requestId: step.more % 2 === 0 ? `q${this.#names}` : '',
      waits: !several && step.where % 4 !== 0,
      calledMs: this.#nowMs - step.beforeMs,
      answeredMs: this.#nowMs + step.afterMs,
    });
    const order = this.#nowMs - ask.priority * this.priorityStepMs;
    if (this.#isFree(ask, order)) this.#grant(ask, step.afterMs, step.more % 11 === 3);
    else if (!ask.waits) this.entries.push(ask);
    else {
      const queued = { ...ask, queuedMs: this.#nowMs + step.afterMs };
      this.#line = [...this.#line, { ask: queued, order }].sort((one, other) => one.order - other.order);
    }
  }

  #isFree(ask: Asked, order: number): boolean {
    const conflicts = (other: Asked): boolean =>
      (ask.mode === 'exclusive' || other.mode === 'exclusive') &&
      other.resources.some((resource) => ask.resources.includes(resource));
    return (
      !this.#standing.some((lease) => conflicts(lease.ask)) &&
      !this.#line.some((waiter) => waiter.ask !== ask && waiter.order <= order && conflicts(waiter.ask))
    );
  }

  #grant(ask: Asked, afterMs: Ms, secret: boolean): void {
    this.#tokens += 1;
    const leaseRef = `L${this.#tokens}`;
    const token = BigInt(this.#tokens);
    const answeredMs = this.#nowMs + afterMs;
    const lease = { ask, leaseRef, token, knownMs: Math.max(answeredMs, ask.queuedMs ?? 0), secret };
    this.#standing.push(lease);
    if (secret) {
      const { answeredMs: _, ...unanswered } = ask;
      this.entries.push(unknown(ask.calledMs, { ...unanswered, outcome: 'unknown' }));
      return;
    }
    const grant = { leaseRef, token, resources: ask.resources, replayed: false };
    this.entries.push({ ...ask, answeredMs: lease.knownMs, outcome: 'granted', grant });
  }

  /** The holder relies on it from its answer to `untilMs`, if that came before. */
  #end(lease: Lease, untilMs: Ms, end: Held['end']): void {
    this.#standing.splice(this.#standing.indexOf(lease), 1);
    this.#ended.push(lease);
    const { ask, leaseRef, token, knownMs } = lease;
    const { client, owner, resources, mode } = ask;
    if (!lease.secret && untilMs > knownMs) {
      const more = { client, owner, resources, mode, end };
      this.entries.push(held(leaseRef, Number(token), knownMs, untilMs, more));
    }
    this.#serve();
  }

  #serve(): void {
    for (const waiter of [...this.#line]) {
      if (!this.#isFree(waiter.ask, waiter.order)) continue;
      this.#line = this.#line.filter((other) => other !== waiter);
      this.#grant(waiter.ask, waiter.ask.answeredMs! - waiter.ask.queuedMs! + JITTER_MS / 3, false);
    }
  }

  #release(lease: Lease, { beforeMs, afterMs, more }: Step): void {
    const calledMs = this.#nowMs - beforeMs;
    const lost = more % 5 === 0;
    this.entries.push(
      released(lease.leaseRef, calledMs, this.#nowMs + afterMs, lost ? { outcome: 'unknown' } : {}),
    );
    this.#end(lease, calledMs, 'released');
  }

  #renew({ leaseRef }: Lease, { beforeMs, afterMs }: Step): void {
    this.entries.push(renewed(leaseRef, this.#nowMs - beforeMs, this.#nowMs + afterMs));
  }

  #expire(lease: Lease): void {
    this.#end(lease, this.#nowMs - 1, 'expired');
  }

  #repeat(lease: Lease | undefined, { beforeMs, afterMs }: Step): void {
    if (lease === undefined || lease.ask.requestId === '') return;
    const { ask, leaseRef, token } = lease;
    const times = { calledMs: this.#nowMs - beforeMs, answeredMs: this.#nowMs + afterMs };
    const { queuedMs: _, ...again } = { ...ask, ...times };
    if (!this.#standing.includes(lease)) {
      this.entries.push({ ...again, outcome: 'refused', reason: 'LEASE_LOST' });
      return;
    }
    const grant = { leaseRef, token, resources: ask.resources, replayed: true };
    this.entries.push({ ...again, outcome: 'granted', grant });
  }

  #late({ leaseRef }: Lease, { beforeMs, afterMs, more }: Step): void {
    const [calledMs, answeredMs] = [this.#nowMs - beforeMs, this.#nowMs + afterMs];
    this.entries.push(
      more % 2 === 0
        ? released(leaseRef, calledMs, answeredMs, { outcome: 'gone' })
        : renewed(leaseRef, calledMs, answeredMs, { outcome: 'lost' }),
    );
  }

  /** Its holder hears of it late. */
  #force(lease: Lease, { beforeMs, afterMs, where }: Step): void {
    const calledMs = this.#nowMs - beforeMs;
    this.entries.push(
      forced(calledMs, [lease.leaseRef], {
        resource: lease.ask.resources[0]!,
        answeredMs: this.#nowMs + afterMs,
      }),
    );
    this.#end(lease, this.#nowMs + where, 'lost');
  }

  #giveUp({ who, afterMs }: Step): void {
    const waiter = this.#line[who % Math.max(1, this.#line.length)];
    if (waiter === undefined) return;
    this.#line = this.#line.filter((other) => other !== waiter);
    const answeredMs = Math.max(this.#nowMs + afterMs, waiter.ask.queuedMs!);
    this.entries.push({ ...waiter.ask, answeredMs });
    this.#serve();
  }

  #read(lease: Lease | undefined): void {
    if (lease === undefined || lease.ask.mode === 'shared') return;
    const fenced = this.#fenced.read(lease.ask.resources[0]!, lease.token);
    const twin = this.#twin.read(lease.ask.resources[0]!, lease.token);
    lease.saw = {
      fenced: fenced.kind === 'value' ? fenced.value : undefined,
      twin: twin.kind === 'value' ? twin.value : '',
    };
  }

  /** Whoever has read writes, be it that its lease is long over: a paused holder that woke up. */
  #write({ who, more }: Step): void {
    const readers = [...this.#standing, ...this.#ended].filter(({ saw }) => saw !== undefined);
    const lease = readers[who % Math.max(1, readers.length)];
    if (lease?.saw === undefined) return;
    const { ask, token, saw } = lease;
    delete lease.saw;
    const resource = ask.resources[0]!;
    this.#names += 1;
    const value = `v${this.#names}`;
    const times = { calledMs: this.#nowMs - 1, answeredMs: this.#nowMs + 1 };
    const entry = { kind: 'write', client: ask.client, resource, token, wrote: value, ...times } as const;
    if (saw.fenced !== undefined) {
      const outcome = this.#fenced.write(resource, token, saw.fenced, value);
      const known = more % 4 === 0 ? 'unknown' : outcome;
      this.entries.push({ ...entry, register: 'fenced', read: saw.fenced, outcome: known });
    }
    this.#twin.write(resource, token, saw.twin, value);
    this.entries.push({ ...entry, register: 'twin', read: saw.twin, outcome: 'written' });
  }

  /** Everything ends, one more of each resource is granted, and nothing is left. */
  #heal(): void {
    this.#nowMs += 200;
    this.#line = [];
    for (const lease of [...this.#standing]) this.#end(lease, this.#nowMs - JITTER_MS, 'expired');
    this.entries.push(healed(this.#nowMs, this.#nowMs + 1000));
    for (const resource of RESOURCES) {
      this.#nowMs += 600;
      this.#grant(asked({ client: 'last', resources: [resource], calledMs: this.#nowMs - 1 }), 1, false);
      for (const lease of [...this.#standing]) this.#end(lease, this.#nowMs + 1, 'released');
      this.#nowMs -= 590;
      this.entries.push(rest(this.#nowMs + 2000, { resource }));
    }
  }
}
