/** One channel under receivers that fail, hang and recover, in a time that the test moves. */
import { describe, expect, test } from 'vitest';
import type { Message, Tried } from '../../../src/control/alerts/message.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { alertOf, Bench, DELIVERED, FAILED } from './alerts-bench.ts';

describe('a storm', () => {
  test('of 10,000 lost leases is a few messages with a count, and little memory', async () => {
    const bench = new Bench();
    for (let n = 0; n < 10_000; n++) {
      bench.channel.add('event', alertOf(n));
      if (n % 1000 === 0) await bench.pass(1000);
    }
    await bench.pass(30_000);
    expect(bench.tries.length).toBeLessThanOrEqual(4);
    expect(bench.tries.reduce((sum, { message }) => sum + message.count, 0)).toBe(10_000);
    for (const { message } of bench.tries) expect(message.alerts.length).toBeLessThanOrEqual(20);
    expect(bench.pending).toBe(0);
  });

  test('of one kind does not keep another kind waiting', async () => {
    const bench = new Bench();
    for (let n = 0; n < 100; n++) bench.channel.add('event', alertOf(n));
    await bench.pass(300);
    bench.channel.add('event', alertOf(1));
    bench.channel.add('event', alertOf(1, 'force_release'));
    await bench.pass(300);
    expect(bench.tries.map(({ message }) => message.kind)).toEqual(['lease_lost', 'force_release']);
  });
});

describe('a receiver that fails', () => {
  test('is tried again with growing pauses under one id, then hears what came meanwhile, in order', async () => {
    const bench = new Bench();
    let left = 3;
    bench.answer = () => (left-- > 0 ? FAILED : DELIVERED);
    bench.channel.add('firing', alertOf(1, 'held_too_long'));
    await bench.pass(300);
    bench.channel.add('resolved', alertOf(1, 'held_too_long'));
    expect(bench.pending).toBe(2);
    await bench.pass(60_000);
    expect(bench.outcomes).toEqual(['retried', 'retried', 'retried', 'delivered', 'delivered']);
    const ids = bench.tries.map(({ message }) => message.id);
    expect(new Set(ids.slice(0, 4)).size).toBe(1);
    expect(ids[4]).not.toBe(ids[0]);
    expect(bench.tries.at(-1)?.message.status).toBe('resolved');
  });

  test('for ever is given up, counted and told of once, and the next message has its turn', async () => {
    const bench = new Bench({ giveUpMs: 120_000 });
    bench.answer = () => FAILED;
    bench.channel.add('event', alertOf(1));
    await bench.pass(300_000);
    expect(bench.given).toEqual([expect.stringMatching(/^lease_lost x1 after \d+: HTTP 500$/)]);
    expect(bench.pending).toBe(0);
    bench.answer = () => DELIVERED;
    bench.channel.add('event', alertOf(2));
    await bench.pass(60_000);
    expect(bench.outcomes.at(-1)).toBe('delivered');
  });

  test('five times in a row is left alone for half a minute between tries', async () => {
    const bench = new Bench();
    bench.answer = () => FAILED;
    bench.channel.add('event', alertOf(1));
    await bench.pass(300_000);
    const times = bench.tries.map(({ atMs }) => atMs);
    const pauses = times.slice(1).map((atMs, at) => atMs - times[at]!);
    expect(pauses.length).toBeGreaterThan(6);
    expect(Math.min(...pauses.slice(4))).toBeGreaterThanOrEqual(30_000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(61_000);
  });

  test('and says when to come back is not asked earlier', async () => {
    const bench = new Bench();
    bench.answer = () => ({ kind: 'again', why: 'HTTP 429', afterMs: 20_000 });
    bench.channel.add('event', alertOf(1));
    await bench.pass(15_000);
    expect(bench.tries.length).toBe(1);
    await bench.pass(10_000);
    expect(bench.tries.length).toBe(2);
  });

  test('and will never take a message is not asked again', async () => {
    const bench = new Bench();
    bench.answer = () => ({ kind: 'never', why: 'HTTP 400' });
    bench.channel.add('event', alertOf(1));
    await bench.pass(120_000);
    expect(bench.tries.length).toBe(1);
    expect(bench.given).toEqual(['lease_lost x1 after 1: HTTP 400']);
  });

  test('by throwing is one more try, not the end of the channel', async () => {
    const bench = new Bench();
    let thrown = false;
    bench.answer = () => {
      if (thrown) return DELIVERED;
      thrown = true;
      throw new TypeError('a defect');
    };
    bench.channel.add('event', alertOf(1));
    await bench.pass(10_000);
    expect(bench.outcomes).toEqual(['retried', 'delivered']);
  });
});

test('ever new conditions that come and go while a receiver is away are counted, and not all kept', async () => {
  const bench = new Bench();
  bench.answer = () => FAILED;
  for (let n = 0; n < 20_000; n++) {
    bench.channel.add('firing', alertOf(n, 'held_too_long'));
    bench.channel.add('resolved', alertOf(n, 'held_too_long'));
    if (n % 5000 === 0) await bench.pass(1000);
  }
  expect(bench.pending).toBe(40_000);
  bench.answer = () => DELIVERED;
  await bench.pass(120_000);
  expect(bench.pending).toBe(0);
  const counts = bench.tries.slice(-4).map(({ message }) => `${message.status} ${message.count}`);
  expect(counts.at(-1)).toMatch(/^resolved/);
  for (const { message } of bench.tries) expect(message.alerts.length).toBeLessThanOrEqual(20);
});

describe('a receiver that hangs', () => {
  const never = () => new Promise<Tried>(() => {});

  test('costs one try its time, and is asked again', async () => {
    const bench = new Bench();
    bench.answer = never;
    bench.channel.add('event', alertOf(1));
    await bench.pass(1000);
    bench.answer = () => DELIVERED;
    await bench.pass(10_000);
    expect(bench.outcomes).toEqual(['retried', 'delivered']);
  });

  test('holds the channel for ever where a try has no bound', async () => {
    const bench = new Bench({ timeoutMs: 1e9 });
    bench.answer = never;
    bench.channel.add('event', alertOf(1));
    await bench.pass(6000);
    bench.answer = () => DELIVERED;
    await bench.pass(60_000);
    expect(bench.outcomes).toEqual([]);
    expect(bench.pending).toBe(1);
  });

  test('delays no other channel', async () => {
    const clock = new ManualClock();
    const stuck = new Bench({ name: 'stuck' }, clock);
    const well = new Bench({ name: 'well' }, clock);
    stuck.answer = never;
    for (const { channel } of [stuck, well]) channel.add('event', alertOf(1));
    await well.pass(1000);
    expect(well.outcomes).toEqual(['delivered']);
    expect(stuck.outcomes).toEqual([]);
  });
});

describe('what begins and ends', () => {
  test('before it was told is told as both, in order', async () => {
    const bench = new Bench();
    bench.channel.add('firing', alertOf(1, 'node_quarantined'));
    bench.channel.add('resolved', alertOf(1, 'node_quarantined'));
    await bench.pass(1000);
    expect(bench.tries.map(({ message }) => message.status)).toEqual(['firing', 'resolved']);
  });

  test('and begins again before its end was told has not ended', async () => {
    const bench = new Bench();
    bench.channel.add('firing', alertOf(1, 'node_quarantined'));
    await bench.pass(1000);
    bench.channel.add('resolved', alertOf(1, 'node_quarantined'));
    bench.channel.add('firing', alertOf(1, 'node_quarantined'));
    await bench.pass(60_000);
    expect(bench.tries.map(({ message }) => message.status)).toEqual(['firing']);
    expect(bench.pending).toBe(0);
  });

  test('an end of another of the kind, from before, does not overtake the beginning', async () => {
    const bench = new Bench();
    bench.channel.add('firing', alertOf(1, 'held_too_long'));
    await bench.pass(1000);
    bench.channel.add('resolved', alertOf(1, 'held_too_long'));
    bench.channel.add('firing', alertOf(2, 'held_too_long'));
    bench.channel.add('resolved', alertOf(2, 'held_too_long'));
    await bench.pass(60_000);
    const told = bench.tries.map(
      ({ message }) => `${message.status} ${message.alerts.map(({ key }) => key)}`,
    );
    expect(told).toEqual([
      'firing held_too_long 1',
      'firing held_too_long 2',
      'resolved held_too_long 1,held_too_long 2',
    ]);
  });
});

describe('the end', () => {
  test('a last try for all that waits, without waiting for its time', async () => {
    const bench = new Bench();
    bench.answer = () => FAILED;
    bench.channel.add('event', alertOf(1));
    await bench.pass(400);
    bench.channel.add('event', alertOf(2));
    bench.channel.add('event', alertOf(3, 'force_release'));
    bench.answer = () => DELIVERED;
    await bench.channel.drain();
    expect(bench.pending).toBe(0);
    expect(bench.outcomes.filter((outcome) => outcome === 'delivered').length).toBe(3);
  });

  test('one try each where the receiver still fails', async () => {
    const bench = new Bench();
    bench.answer = () => FAILED;
    bench.channel.add('event', alertOf(1));
    bench.channel.add('event', alertOf(1, 'force_release'));
    await bench.channel.drain();
    expect(bench.outcomes).toEqual(['failed', 'failed']);
  });

  test('a channel that was removed sends nothing more', async () => {
    const bench = new Bench();
    bench.channel.add('event', alertOf(1));
    bench.channel.remove();
    bench.channel.add('event', alertOf(2));
    await bench.pass(10_000);
    expect(bench.tries).toEqual([]);
    expect(bench.pending).toBe(0);
  });

  test('what waits for a channel that has changed goes its new way, at once', async () => {
    const bench = new Bench();
    bench.answer = () => ({ kind: 'again', why: 'HTTP 503', afterMs: 3_600_000 });
    bench.channel.add('event', alertOf(1));
    await bench.pass(1000);
    const there: Message[] = [];
    bench.channel.reroute(
      bench.route({
        send: async (message) => {
          there.push(message);
          return DELIVERED;
        },
      }),
    );
    await bench.pass(100);
    expect(there.map(({ id }) => id)).toEqual([bench.tries[0]!.message.id]);
  });
});
