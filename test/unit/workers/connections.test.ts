/** Connections go to the worker that has the fewest, wait while nobody can take them, and never hang on a dead one. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Connections } from '../../../src/workers/connections.ts';

class Pipe extends Duplex {
  override _read(): void {}
}

const socket = (): Socket => new Pipe() as unknown as Socket;

/** Workers that write down what they are given. */
function desk(...numbers: readonly number[]) {
  const connections = new Connections();
  const given: number[] = [];
  const sockets: Socket[] = [];
  const add = (number: number): void =>
    connections.add({
      number,
      give: (one) => {
        given.push(number);
        sockets.push(one);
      },
    });
  for (const number of numbers) add(number);
  const offer = (count: number): Socket[] => {
    const all = Array.from({ length: count }, socket);
    for (const one of all) connections.offer(one, 0);
    return all;
  };
  /** As many as come, confirmed at once. */
  const settle = (count: number): void => {
    for (let at = 0; at < count; at += 1) {
      offer(1);
      connections.confirmed(given.at(-1)!);
    }
  };
  return { connections, given, sockets, add, offer, settle };
}

const counts = (connections: Connections) => Object.fromEntries(connections.open());

describe('whose turn it is', () => {
  test('those with as many take turns', () => {
    const { given, settle } = desk(1, 2, 3);
    settle(7);
    expect(given).toEqual([1, 2, 3, 1, 2, 3, 1]);
  });

  test('a burst is spread although nobody has confirmed yet', () => {
    const { connections, offer } = desk(1, 2);
    offer(16);
    expect(counts(connections)).toEqual({ 1: 8, 2: 8 });
  });

  test('a worker that lost its connections, or is new, gets the next ones until it has as many', () => {
    const { connections, given, add, settle } = desk(1, 2);
    settle(8);
    connections.ended(2, 3);
    given.length = 0;
    settle(3);
    expect(given).toEqual([2, 2, 2]);
    add(3);
    given.length = 0;
    settle(4);
    expect(given).toEqual([3, 3, 3, 3]);
    expect(counts(connections)).toEqual({ 1: 4, 2: 4, 3: 4 });
  });
});

describe('a worker that hangs', () => {
  test('gets no more than it may owe, and the others go on', () => {
    const { connections, given, offer } = desk(1, 2);
    for (let at = 0; at < 40; at += 1) {
      offer(1);
      connections.confirmed(2);
    }
    expect(given.filter((number) => number === 1)).toHaveLength(8);
    expect(given.filter((number) => number === 2)).toHaveLength(32);
  });

  test('alone keeps the rest waiting, and they are served when it confirms', () => {
    const { connections, given, offer } = desk(1);
    offer(10);
    expect(given).toHaveLength(8);
    connections.confirmed(1);
    connections.confirmed(1);
    expect(given).toHaveLength(10);
  });
});

describe('a worker that is gone', () => {
  test('leaves what it had not confirmed to the others', () => {
    const { connections, given, sockets, offer } = desk(1, 2);
    const all = offer(4);
    const open = () => all.map(({ destroyed }) => !destroyed);
    connections.confirmed(1);
    // The copy of this process is no longer needed.
    expect(open()).toEqual([false, true, true, true]);
    connections.retire(1);
    expect(open()).toEqual([false, true, true, true]);
    expect(given).toEqual([1, 2, 1, 2, 2]);
    expect(sockets.at(-1)).toBe(all[2]);
    connections.ended(1, 1);
    connections.confirmed(1);
    expect(counts(connections)).toEqual({ 2: 3 });
  });

  test('as the only one leaves callers waiting for the next', () => {
    const { connections, given, add, offer } = desk(1);
    connections.retire(1);
    const [waiting] = offer(1);
    expect(given).toEqual([]);
    add(1);
    expect(given).toEqual([1]);
    expect(waiting!.destroyed).toBe(false);
  });
});

describe('what waits', () => {
  test('is bounded: more are cut off', () => {
    const { offer } = desk();
    const all = offer(514);
    expect(all.filter(({ destroyed }) => destroyed)).toEqual(all.slice(512));
  });

  test('and has left meanwhile is not handed over', () => {
    const { given, sockets, add, offer } = desk();
    const [gone, there] = offer(2) as [Socket, Socket];
    gone.destroy();
    add(1);
    expect(given).toEqual([1]);
    expect(sockets).toEqual([there]);
  });

  test('is cut off at the end, and so is who comes later', () => {
    const { connections, given, add, offer } = desk();
    const early = offer(1);
    connections.close();
    const late = offer(1);
    add(1);
    expect([...early, ...late].every(({ destroyed }) => destroyed)).toBe(true);
    expect(given).toEqual([]);
  });
});
