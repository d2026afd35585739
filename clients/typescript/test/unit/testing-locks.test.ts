/** The fake's locks alone, without sockets: order, sharing, picks, repeats, deadlocks, and how leases end. */
import { describe, expect, test } from 'vitest';
import { isRefusal } from '../../src/testing/calls.ts';
import { ManualClock } from '../../src/testing/clock.ts';
import { Locks } from '../../src/testing/locks.ts';
import type { AcquireAsk, Asker, Busy, Inspection, Keeper, Lease, Loss } from '../../src/testing/model.ts';
import type { Refusal } from '../../src/testing/refusals.ts';

/** Whoever asks and keeps, and what it has heard. */
class Person implements Asker, Keeper {
  readonly heard: string[] = [];
  lease: Lease | undefined;
  busyWith: Busy | undefined;
  refusal: Refusal | undefined;
  readonly #locks: Locks;

  constructor(locks: Locks) {
    this.#locks = locks;
  }

  granted(lease: Lease, replayed: boolean): void {
    this.lease = lease;
    this.heard.push(replayed ? 'replayed' : 'granted');
    this.#locks.keep(lease.leaseId, this);
  }

  busy(busy: Busy): void {
    this.busyWith = busy;
    this.heard.push('busy');
  }

  refused(refusal: Refusal): void {
    this.refusal = refusal;
    this.heard.push(refusal.reason);
  }

  queued({ position }: { position: number }): void {
    this.heard.push(`queued ${position}`);
  }

  renewed(): void {
    this.heard.push('renewed');
  }

  lost({ reason }: Loss): void {
    this.heard.push(`lost ${reason}`);
  }

  yieldRequested(): void {}
}

class Room {
  readonly clock = new ManualClock();
  readonly locks: Locks;
  #ids = 0;

  constructor() {
    const newId = () => {
      this.#ids += 1;
      return { leaseId: `id${this.#ids}`, leaseRef: `ref${this.#ids}` };
    };
    this.locks = new Locks({ time: this.clock, newId });
  }

  ask(owner: string, resources: readonly string[], more: Partial<AcquireAsk> = {}): Person {
    return this.asked(owner, resources, more).person;
  }

  asked(owner: string, resources: readonly string[], more: Partial<AcquireAsk> = {}) {
    const usual = { ttlMs: 10_000, waitMs: 60_000, mode: 'exclusive', any: 0, priority: 0 } as const;
    const person = new Person(this.locks);
    const ask = { ...usual, requestId: '', labels: {}, ...more, owner, resources };
    return { person, asked: this.locks.acquire(ask, person) };
  }

  seen(name: string): Inspection {
    const seen = this.locks.inspect(name);
    if (isRefusal(seen)) throw new Error(seen.message);
    return seen;
  }

  holders(name: string): string[] {
    return this.seen(name).holders.map(({ owner }) => owner);
  }
}

describe('the line', () => {
  test('is served in order, and nobody overtakes', () => {
    const room = new Room();
    const first = room.ask('w1', ['a']);
    const second = room.ask('w2', ['a', 'b']);
    const third = room.ask('w3', ['b']);
    expect([second.heard, third.heard]).toEqual([['queued 1'], ['queued 2']]);
    expect(room.ask('w4', ['b'], { waitMs: 0 }).busyWith).toMatchObject({ queueLength: 2, holders: [] });
    room.locks.release(first.lease!.leaseId);
    room.locks.release(second.lease!.leaseId);
    expect(third.heard).toEqual(['queued 2', 'queued 1', 'granted']);
  });

  test('gives priority a head start, not precedence', () => {
    const room = new Room();
    const holder = room.ask('w0', ['a'], { ttlMs: 60_000 });
    room.ask('old', ['a']);
    room.clock.jump('6s');
    room.ask('young', ['a'], { priority: 1 });
    room.ask('urgent', ['a'], { priority: 9 });
    room.locks.release(holder.lease!.leaseId);
    expect(room.holders('a')).toEqual(['urgent']);
    expect(room.seen('a').waiters).toMatchObject([
      { owner: 'old', position: 1 },
      { owner: 'young', position: 2 },
    ]);
  });

  test('lets readers in together, and none past a writer that waits', () => {
    const room = new Room();
    const shared = { mode: 'shared' } as const;
    const one = room.ask('r1', ['a'], shared);
    const two = room.ask('r2', ['a'], shared);
    expect(two.lease!.token).toBeGreaterThan(one.lease!.token);
    const writer = room.ask('w', ['a']);
    const late = room.ask('r3', ['a'], shared);
    expect(late.lease).toBeUndefined();
    room.locks.release(one.lease!.leaseId);
    expect(writer.lease).toBeUndefined();
    room.locks.release(two.lease!.leaseId);
    expect([writer.heard.at(-1), late.heard.at(-1)]).toEqual(['granted', 'queued 1']);
  });

  test('picks any so many of the names', () => {
    const room = new Room();
    room.ask('w0', ['b']);
    const any = room.ask('w1', ['a', 'b', 'c'], { any: 2 });
    expect(any.lease!.resources).toEqual(['a', 'c']);
    const next = room.ask('w2', ['a', 'b', 'c'], { any: 1 });
    room.locks.release(any.lease!.leaseId);
    expect(next.lease!.resources).toEqual(['a']);
  });

  test('ends a wait by the clock, and keeps nothing of it', () => {
    const room = new Room();
    room.ask('w0', ['a']);
    const late = room.ask('w1', ['a'], { waitMs: 5000 });
    room.clock.jump(4999);
    expect(late.heard).toEqual(['queued 1']);
    room.clock.jump(1);
    expect(late.busyWith).toMatchObject({ position: 1, waitElapsed: true, holders: [{ owner: 'w0' }] });
    expect(room.seen('a').waiters).toEqual([]);
  });

  test('keeps a place for a repeat of the same request, for six seconds', () => {
    for (const [awayMs, order] of [
      [5999, ['w1', 'w2']],
      [6000, ['w2', 'w1']],
    ] as const) {
      const room = new Room();
      room.ask('w0', ['a'], { ttlMs: 60_000 });
      const { asked } = room.asked('w1', ['a'], { requestId: 'r' });
      room.ask('w2', ['a']);
      expect(asked.giveUp(true)).toBe(true);
      room.clock.jump(awayMs);
      room.ask('w1', ['a'], { requestId: 'r' });
      const { waiters } = room.seen('a');
      expect(waiters.map(({ owner }) => owner)).toEqual(order);
    }
  });
});

describe('a deadlock', () => {
  test('ends with the youngest wait of the cycle', () => {
    const room = new Room();
    room.ask('w1', ['a']);
    room.ask('w2', ['b']);
    const older = room.ask('w1', ['b']);
    const younger = room.ask('w2', ['a']);
    expect([older.heard, younger.heard]).toEqual([['queued 1'], ['DEADLOCK']]);
    expect(younger.refusal!.metadata).toEqual({
      cycle: 'w2 -> a -> w1 -> b -> w2',
      owners: '["w2","w1"]',
      resources: '["a","b"]',
      links: '2',
    });
  });

  test('is also to wait for oneself, but not to be busy with oneself', () => {
    const room = new Room();
    room.ask('w1', ['a']);
    expect(room.ask('w1', ['a']).heard).toEqual(['DEADLOCK']);
    expect(room.ask('w1', ['a'], { waitMs: 0 }).heard).toEqual(['busy']);
  });

  test('is none where any of the names may come free', () => {
    const room = new Room();
    room.ask('w1', ['a']);
    room.ask('w2', ['b']);
    room.ask('w3', ['c']);
    room.ask('w1', ['b']);
    expect(room.ask('w2', ['a', 'c'], { any: 1 }).heard).toEqual(['queued 1']);
  });
});

describe('a lease', () => {
  test('is renewed while a stream keeps it, and expires when nobody does', () => {
    const room = new Room();
    const kept = room.ask('w1', ['a']);
    room.clock.jump('1h');
    expect(room.holders('a')).toEqual(['w1']);
    room.locks.leave(kept.lease!.leaseId, kept, 'stands');
    room.clock.jump(9999);
    expect(room.holders('a')).toEqual(['w1']);
    room.clock.jump(1);
    expect(room.holders('a')).toEqual([]);
  });

  test('is told why it ended, as is whoever asks for it later', () => {
    for (const why of ['expired', 'released', 'forced', 'unknown'] as const) {
      const room = new Room();
      const { heard, lease } = room.ask('w1', ['a']);
      room.locks.lose('a', why, 'the test');
      expect(heard.at(-1)).toBe(`lost ${why}`);
      expect(room.locks.heartbeat(lease!.leaseId, undefined, '')).toMatchObject({ metadata: { why } });
      expect(room.locks.release(lease!.leaseId)).toBe(false);
    }
  });

  test('goes with its stream at once, or after the grace unless it was resumed', () => {
    const room = new Room();
    const gone = room.ask('w1', ['a']);
    room.locks.leave(gone.lease!.leaseId, gone, 0);
    expect(room.holders('a')).toEqual([]);
    const lingering = room.ask('w1', ['a']);
    const resumed = room.ask('w2', ['b']);
    for (const person of [lingering, resumed]) room.locks.leave(person.lease!.leaseId, person, 1000);
    room.clock.jump(999);
    room.locks.resume(resumed.lease!.leaseId, new Person(room.locks));
    room.clock.jump(1);
    expect([room.holders('a'), room.holders('b')]).toEqual([[], ['w2']]);
  });

  test('that another stream has taken over is not touched by the end of the older one', () => {
    const room = new Room();
    const older = room.ask('w1', ['a']);
    const newer = new Person(room.locks);
    room.locks.resume(older.lease!.leaseId, newer);
    expect(older.heard.at(-1)).toBe('lost unknown');
    room.locks.leave(older.lease!.leaseId, older, 0);
    expect(room.holders('a')).toEqual(['w1']);
  });

  test('answers each repeat of its request_id, and never a second one', () => {
    const room = new Room();
    const first = room.ask('w1', ['a'], { requestId: 'r' });
    const repeat = room.ask('w1', ['a'], { requestId: 'r' });
    expect([repeat.heard, repeat.lease!.leaseId]).toEqual([['replayed'], first.lease!.leaseId]);
    expect(room.ask('w1', ['b'], { requestId: 'r' }).refusal!.violations).toMatchObject([
      { field: 'request_id' },
    ]);
    expect(room.ask('w2', ['a'], { requestId: 'r', waitMs: 0 }).heard).toEqual(['busy']);
    room.locks.release(first.lease!.leaseId);
    expect(room.ask('w1', ['a'], { requestId: 'r' }).refusal!.metadata).toEqual({ why: 'released' });
  });

  test('answers two that wait with one request_id', () => {
    const room = new Room();
    const holder = room.ask('w0', ['a']);
    const pair = [room.ask('w1', ['a'], { requestId: 'r' }), room.ask('w1', ['a'], { requestId: 'r' })];
    room.locks.release(holder.lease!.leaseId);
    expect(pair.map(({ heard }) => heard.filter((what) => !what.startsWith('queued'))[0])).toEqual([
      'granted',
      'replayed',
    ]);
  });
});
