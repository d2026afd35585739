/** What one look at all locks adds up to: figures by class, and who holds, is silent or waits for too long. */
import { describe, expect, test } from 'vitest';
import { makeClassOf } from '../../../src/control/classes.ts';
import { type Memory, Tally } from '../../../src/control/janitor/tally.ts';
import type { HolderView, WaiterView } from '../../../src/locks/locks.ts';

const NOW = 1_000_000;
const thresholds = {
  heldTooLongMs: 1000,
  maxSilenceMs: 500,
  starvingMs: 300,
  byClass: { gpus: { heldTooLongMs: 5000, maxSilenceMs: 0 } },
};

function tallyAt(nowMs = NOW, before: Memory = new Map()): Tally {
  return new Tally({ classOf: makeClassOf([{ prefix: 'gpu/', name: 'gpus' }]), thresholds, nowMs, before });
}

function holder(forMs: number, more: Partial<HolderView> = {}): HolderView {
  return {
    resource: 'disk',
    owner: 'o',
    leaseRef: 'ref',
    token: 1n,
    mode: 'exclusive',
    acquireTimeMs: NOW - forMs,
    expireTimeMs: NOW + 1000,
    labels: {},
    progress: '',
    traceparent: '',
    ...more,
  };
}

const waiter = (forMs: number): WaiterView => ({
  owner: 'w',
  position: 1,
  priority: 0,
  sinceMs: NOW - forMs,
  mode: 'exclusive',
});

const kinds = (tally: Tally): string[] => tally.observations.map(({ kind }) => kind);

test('counts by class, the tenant aside', () => {
  const tally = tallyAt();
  tally.held('gpu/0', [holder(10)]);
  tally.held('~t/gpu/1', [holder(30), holder(20, { leaseRef: 'second' })]);
  tally.held('disk', []);
  tally.waiting('gpu/0', 3, [waiter(7), waiter(9)]);
  expect(tally.figures.get('gpus')).toMatchObject({
    held: 2,
    waiting: 3,
    longestHoldMs: 30,
    oldestWaitMs: 9,
  });
  expect(tally.figures.get('other')).toMatchObject({ held: 0, waiting: 0 });
});

test('too long is from the threshold on, by that of the class, and 0 is never', () => {
  const tally = tallyAt();
  tally.held('disk', [holder(1000)]);
  tally.held('disk2', [holder(499, { leaseRef: 'young' })]);
  tally.held('gpu/0', [holder(4999, { leaseRef: 'gpu' })]);
  tally.waiting('disk', 1, [waiter(299), waiter(300)]);
  expect(kinds(tally)).toEqual(['held_too_long', 'silent_holder', 'starving_waiter']);
  expect(tally.observations[0]).toEqual({
    kind: 'held_too_long',
    resource: 'disk',
    class: 'other',
    owner: 'o',
    leaseRef: 'ref',
    sinceMs: NOW - 1000,
    forMs: 1000,
    detail: '',
  });
  expect(tally.observations[2]).toMatchObject({ leaseRef: '', owner: 'w', detail: 'position 1 of 1' });
  expect(tally.figures.get('other')).toMatchObject({
    held_too_long: 1,
    silent_holder: 1,
    starving_waiter: 1,
  });
  expect(tally.figures.get('gpus')).toMatchObject({ held_too_long: 0, silent_holder: 0 });
});

describe('silence', () => {
  test('of who never reported anything counts from the grant', () => {
    const tally = tallyAt();
    tally.held('disk', [holder(500)]);
    expect(tally.observations).toMatchObject([{ kind: 'silent_holder', sinceMs: NOW - 500 }]);
  });

  test('counts from when the progress was last seen to change', () => {
    const first = tallyAt();
    first.held('disk', [holder(900, { progress: 'a' })]);
    expect(kinds(first)).toEqual([]);
    const same = tallyAt(NOW + 499, first.memory);
    same.held('disk', [holder(400, { progress: 'a' })]);
    expect(kinds(same)).toEqual([]);
    const silent = tallyAt(NOW + 500, same.memory);
    silent.held('disk', [holder(400, { progress: 'a' })]);
    expect(silent.observations).toMatchObject([{ kind: 'silent_holder', sinceMs: NOW, detail: 'a' }]);
    const moved = tallyAt(NOW + 500, same.memory);
    moved.held('disk', [holder(400, { progress: 'b' })]);
    expect(kinds(moved)).toEqual([]);
  });

  test('what is gone is not remembered', () => {
    const first = tallyAt();
    first.held('disk', [holder(1, { progress: 'a' })]);
    expect([...first.memory.keys()]).toEqual(['ref']);
    expect([...tallyAt(NOW, first.memory).memory.keys()]).toEqual([]);
  });
});
