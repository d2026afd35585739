/** A caller that waits is told once when nobody listens for its answer any more, and only if it asked. */
import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { silentProbe } from '../../../src/domain/probe.ts';
import { Visits } from '../../../src/edge/access/visit.ts';
import { Flights, UnaryCaller } from '../../../src/edge/calls.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { FakeLocks, settings } from './fake-locks.ts';

class FakeCall extends EventEmitter {
  cancelled = false;
  readonly #deadlineMs: number;

  constructor(deadlineMs: number) {
    super();
    this.#deadlineMs = deadlineMs;
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  /** As grpc-js says it: the field first, then the event. */
  cancel(): void {
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
  }
}

function waiting({ leftMs = Infinity } = {}) {
  const clock = new ManualClock();
  const flights = new Flights();
  const call = new FakeCall(clock.wallMicros() / 1000 + leftMs);
  const caller = new UnaryCaller(
    call,
    new Visits({ locks: new FakeLocks(), settings, probe: silentProbe, clock }).of(call),
    clock,
    flights,
  );
  const told: boolean[] = [];
  const ask = (): (() => void) => caller.whenGone(() => told.push(caller.gone()));
  return { clock, flights, call, caller, told, ask };
}

test('who cancels is told of once, whatever else ends the call', () => {
  const { clock, flights, call, told, ask } = waiting({ leftMs: 50 });
  ask();
  call.cancel();
  call.cancel();
  flights.cut();
  clock.advance(100);
  expect(told).toEqual([true]);
});

test('the cut of all connections is told', () => {
  const { flights, call, told, ask } = waiting();
  ask();
  flights.cut();
  call.cancel();
  expect(told).toEqual([true]);
});

test('the deadline is told when it has passed and not before, even by a fraction', () => {
  const { clock, told, ask } = waiting({ leftMs: 20.25 });
  ask();
  clock.advance(20);
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toEqual([true]);
});

test('a wall clock that is set back defers the deadline', () => {
  const { clock, told, ask } = waiting({ leftMs: 20 });
  ask();
  clock.stepWall(-10_000);
  clock.advance(20);
  expect(told).toEqual([]);
  clock.advance(10);
  expect(told).toEqual([true]);
});

test('one who has left already is told a moment later, when the way back is known', () => {
  for (const leave of [
    ({ call }: ReturnType<typeof waiting>) => call.cancel(),
    ({ flights }: ReturnType<typeof waiting>) => flights.cut(),
    ({ clock }: ReturnType<typeof waiting>) => clock.advance(50),
  ]) {
    const one = waiting({ leftMs: 50 });
    leave(one);
    one.ask();
    expect(one.told).toEqual([]);
    one.clock.advance(0);
    expect(one.told).toEqual([true]);
  }
});

test('who took it back hears nothing, and leaves nothing behind', () => {
  const { clock, flights, call, told, ask } = waiting({ leftMs: 50 });
  ask()();
  expect(call.listenerCount('cancelled')).toBe(0);
  call.cancel();
  clock.advance(100);
  flights.cut();
  expect(told).toEqual([]);
});

test('one who is told of the cut may take back what another asked for', () => {
  const { flights, caller, told, ask } = waiting();
  let takeBack = (): void => {};
  caller.whenGone(() => takeBack());
  takeBack = ask();
  flights.cut();
  expect(told).toEqual([]);
});

test('a caller that never asks costs no timer and no listener', () => {
  const { clock, call, caller, ask } = waiting({ leftMs: 50 });
  const after = vi.spyOn(clock, 'after');
  expect(caller.gone()).toBe(false);
  expect([call.listenerCount('cancelled'), after.mock.calls.length]).toEqual([0, 0]);
  ask();
  expect([call.listenerCount('cancelled'), after.mock.calls.length]).toEqual([1, 1]);
});
