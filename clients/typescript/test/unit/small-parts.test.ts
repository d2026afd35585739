/** The small parts of the client: spans, 64-bit numbers, waits after failures, one timer, the table of operations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs } from '../../src/core/backoff.ts';
import { duration, durationMs, spanMs } from '../../src/durations.ts';
import { InvalidFieldError } from '../../src/errors.ts';
import { offAbort, onAbort } from '../../src/session/aborts.ts';
import { Agenda, Appointment } from '../../src/session/agenda.ts';
import { SeqTable } from '../../src/session/seq-table.ts';
import { bigintToWide, wideToBigint, wideToNumber } from '../../src/wire/wide.ts';
import { ManualClock } from './manual-clock.ts';

describe('spans', () => {
  test.each([
    [0, 0],
    [1.5, 1.5],
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
  ])('%s is %d milliseconds', (span, ms) => {
    expect(spanMs('ttl', span)).toBe(ms);
  });

  test.each(['', '30', 's', '-1s', '1d', '1s ', Number.NaN, -1, '1e3s', null, {}, 1e16])(
    '%s is none',
    (span) => {
      expect(() => spanMs('wait', span as string)).toThrow(InvalidFieldError);
    },
  );

  test('they come back from the wire as they went, to the nanosecond', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
        const { seconds, nanos } = duration(ms);
        expect(nanos).toBeGreaterThanOrEqual(0);
        expect(nanos).toBeLessThan(1e9);
        const read = { seconds: bigintToWide(BigInt(seconds as number)), nanos: nanos! };
        expect(Math.abs(durationMs(read) - ms)).toBeLessThanOrEqual(1e-6 + ms * 1e-15);
      }),
    );
  });
});

test('64-bit numbers are exact for callers', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      expect(wideToBigint(bigintToWide(value))).toBe(value);
    }),
  );
  for (const value of [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    expect(wideToBigint(bigintToWide(value))).toBe(value);
  }
  expect(wideToNumber(bigintToWide(2n ** 53n - 1n))).toBe(2 ** 53 - 1);
});

describe('waits after failures', () => {
  const base = { addresses: 2, urgent: false, fraction: 0.999 };

  test('every address is tried once at once, then in growing rounds up to a second', () => {
    const waits = Array.from({ length: 24 }, (_, failures) => backoffMs({ ...base, failures }));
    expect(waits.slice(0, 2)).toEqual([0, 0]);
    expect(waits[2]).toBeGreaterThan(0);
    expect(waits.every((ms, at) => at < 2 || ms >= waits[at - 1]!)).toBe(true);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
    expect(waits.at(-1)).toBeGreaterThan(900);
  });

  test('with leases at stake it never waits long, and chance spreads it', () => {
    expect(backoffMs({ ...base, urgent: true, failures: 1e6 })).toBeLessThanOrEqual(100);
    expect(backoffMs({ ...base, fraction: 0, failures: 1e6 })).toBe(500);
  });
});

describe('the agenda', () => {
  test('acts when it is due, by one timer, in whatever order it was told', () => {
    const clock = new ManualClock();
    const agenda = new Agenda(clock);
    const acts: string[] = [];
    const make = (name: string): Appointment => new Appointment(() => acts.push(name), false);
    const [a, b, c] = [make('a'), make('b'), make('c')];
    agenda.put(a, 300);
    agenda.put(b, 100);
    agenda.put(c, 200);
    expect(clock.timers).toBe(1);
    agenda.drop(c);
    clock.advance(150);
    expect(acts).toEqual(['b']);
    agenda.put(a, 500);
    clock.advance(200);
    expect(acts).toEqual(['b']);
    clock.advance(200);
    expect(acts).toEqual(['b', 'a']);
    expect(clock.timers).toBe(0);
  });

  test('keeps the process alive only for those who ask for it', () => {
    const clock = new ManualClock();
    const agenda = new Agenda(clock);
    const [quiet, loud] = [new Appointment(() => {}, false), new Appointment(() => {}, true)];
    agenda.put(quiet, 100);
    expect(clock.keptAlive).toBe(false);
    agenda.put(loud, 200);
    expect(clock.keptAlive).toBe(true);
    agenda.drop(loud);
    expect(clock.keptAlive).toBe(false);
  });
});

test('many wait for one signal by one listener, and it is gone with the last of them', () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  };
  const acted: number[] = [];
  const acts = Array.from({ length: 20 }, (_, at) => (): void => void acted.push(at));
  for (const act of acts) onAbort(signal, act);
  expect(listeners).toBe(1);
  for (const act of acts) offAbort(signal, act);
  expect(listeners).toBe(0);
  const controller = new AbortController();
  for (const act of acts) onAbort(controller.signal, act);
  offAbort(controller.signal, acts[3]!);
  controller.abort();
  expect(acted).toEqual([...acts.keys()].filter((at) => at !== 3));
});

test('the table of operations is a map', () => {
  const value = (seq: number): { seq: number } => ({ seq });
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 400 })), { maxLength: 1200 });
  fc.assert(
    fc.property(steps, (made) => {
      const table = new SeqTable<{ seq: number }>();
      const map = new Map<number, { seq: number }>();
      for (const [put, key] of made) {
        // Far apart, too, so that some meet at the same place.
        const seq = key % 3 === 0 ? key * 1024 : key;
        if (put) {
          const entry = value(seq);
          table.set(seq, entry);
          map.set(seq, entry);
        } else {
          table.delete(seq);
          map.delete(seq);
        }
        expect(table.get(seq)).toBe(map.get(seq));
        expect(table.size).toBe(map.size);
      }
      expect(new Set(table.values())).toEqual(new Set(map.values()));
      for (const [seq, entry] of map) expect(table.get(seq)).toBe(entry);
      table.clear();
      expect([table.size, table.values()]).toEqual([0, []]);
    }),
  );
});
