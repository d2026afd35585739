/** What whoever mends may ask: REVEAL and BAR (node.ts), and SETTLE with `deep` (line.ts). */
import { describe, expect, test } from 'vitest';
import { tokenLeadMicros } from '../../src/domain/limits.ts';
import type { Answer } from '../../src/nodes/node.ts';
import {
  type Attempt,
  attempt,
  type Caller,
  holderOf,
  livenessMicros,
  placeOf,
  silence,
  tokenAt,
  ttlMicros,
} from './caller.ts';

const T = tokenAt();
const one = attempt('one', T, 'a');
const two = attempt('two', T + 1n, 'a');
const pair = attempt('pair', T, 'a', 'b');
const BARRED = { kind: 'barred', held: false, barred: true };
const STALE = { kind: 'stale' };

function bar(node: Caller, { secret, token, value, resources }: Attempt, mode?: 'shared'): Promise<Answer> {
  return node.ask({ kind: 'bar', secret, token, value, resources, ...(mode && { mode }) });
}

function revealContract(node: () => Caller): void {
  const reveal = (leaseRef: string) => node().ask({ kind: 'reveal', resource: 'a', leaseRef });

  describe('reveal', () => {
    test('tells the value of the holder that is named, and of nobody else', async () => {
      await node().hold(one);
      expect(await reveal(one.leaseRef)).toEqual({
        kind: 'revealed',
        value: one.value,
        holder: holderOf(one),
      });
      expect(await reveal(two.leaseRef)).toEqual({ kind: 'revealed', value: '', holder: null });
      node().at(ttlMicros);
      expect(await reveal(one.leaseRef)).toMatchObject({ value: '' });
    });

    test('tells the value of a reader among readers', async () => {
      await node().hold(one, { mode: 'shared' });
      await node().hold(two, { mode: 'shared' });
      expect(await reveal(two.leaseRef)).toMatchObject({ value: two.value });
    });
  });
}

function barContract(node: () => Caller): void {
  describe('bar', () => {
    test('a value that is not held here can neither be voted for nor repaired afterwards', async () => {
      expect(await bar(node(), one)).toEqual(BARRED);
      expect(await node().fence('a')).toEqual({ token: T, state: 'undone' });
      expect(await node().repair(one)).toMatchObject(STALE);
      expect(await node().hold(one)).toMatchObject(STALE);
      expect(await node().hold(two)).toEqual({ kind: 'held' });
    });

    test('one that has expired here does not come back', async () => {
      await node().hold(one);
      node().at(ttlMicros);
      expect(await bar(node(), one)).toEqual(BARRED);
      expect(await node().repair(one)).toMatchObject(STALE);
    });

    test('changes nothing where any part of the value is held', async () => {
      await node().hold(one);
      const before = await node().look('a', 9);
      expect(await bar(node(), { ...pair, value: one.value, secret: one.secret })).toEqual({
        kind: 'barred',
        held: true,
        barred: false,
      });
      expect(await node().look('a', 9)).toEqual(before);
      expect(await node().look('b')).toBeNull();
      expect(await node().renew(one)).toMatchObject({ kind: 'extended' });
    });

    test('leaves alone who holds it, and what another opened with the same token', async () => {
      const rival = attempt('rival', T, 'a');
      await node().hold(rival);
      expect(await bar(node(), one)).toEqual(BARRED);
      expect(await node().renew(rival)).toMatchObject({ kind: 'extended' });
      expect(await node().fence('a')).toEqual({ token: T, state: 'open' });
    });

    test('says so where the token is too far ahead to be shut out', async () => {
      const ahead = attempt('ahead', tokenAt(tokenLeadMicros + 1), 'a');
      expect(await bar(node(), ahead)).toEqual({ kind: 'barred', held: false, barred: false });
    });

    test('shuts a reader out below the fence of a later one', async () => {
      await node().hold(two, { mode: 'shared' });
      expect(await bar(node(), one, 'shared')).toEqual(BARRED);
      expect(await node().repair(one, { mode: 'shared' })).toMatchObject(STALE);
      expect(await node().renew(two)).toMatchObject({ kind: 'extended' });
    });

    test('of several resources each is shut', async () => {
      expect(await bar(node(), pair)).toEqual(BARRED);
      expect(await node().fence('b')).toEqual({ token: T, state: 'undone' });
    });

    test('a node that is suspect does not answer: what it does not hold proves nothing', async () => {
      await node().admin({ kind: 'suspect', runId: node().runId });
      expect(await bar(node(), one)).toEqual(silence('suspect'));
      const asked = { kind: 'reveal', resource: 'a', leaseRef: one.leaseRef } as const;
      expect(await node().ask(asked)).toEqual(silence('suspect'));
    });
  });
}

export function mendContract(node: () => Caller): void {
  revealContract(node);
  barContract(node);

  test('settle, deep, takes off dead ones behind a live one, too', async () => {
    await node().join(placeOf('first', 1, { livenessMs: 60_000 }));
    await node().join(placeOf('dead', 2));
    await node().join(placeOf('last', 3, { livenessMs: 60_000 }));
    node().at(livenessMicros);
    await node().settle('a');
    expect(await node().look('a')).toMatchObject({ line: { length: 3 } });
    await node().ask({ kind: 'settle', resources: ['a', 'nowhere'], deep: true });
    expect(await node().look('a')).toMatchObject({ line: { length: 2 } });
    expect(await node().standing('a')).toEqual(['first', 'last']);
  });
}
