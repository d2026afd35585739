/** What people and other processes read of a history, what is counted of it, and the registers that it is about. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { check, tally } from '../../harness/history/check.ts';
import { formatHistory, formatViolation, readEntries, writeEntry } from '../../harness/history/format.ts';
import type { Entry } from '../../harness/history/history.ts';
import { EMPTY, FencedRegister, UnfencedTwin } from '../../harness/history/register.ts';
import {
  asked,
  fault,
  forced,
  granted,
  healed,
  held,
  released,
  renewed,
  rest,
  unknown,
  wrote,
} from './entries.ts';
import { SoundRun } from './sound.ts';

const each: readonly Entry[] = [
  fault(5, { untilMs: 20 }),
  granted('A', 7, 10.25, 20, { requestId: 'q1', priority: 3, waits: true, queuedMs: 15 }),
  held('A', 7, 20, 50),
  renewed('A', 25, 30),
  wrote(7, '', 'v1', { calledMs: 31 }),
  unknown(32, { reason: 'NO_QUORUM', resources: ['r', 's'], any: 1, mode: 'shared' }),
  released('A', 50, 60),
  forced(61, ['A', 'B']),
  healed(70, 90),
  rest(95, { leaseRefs: ['A'], waiters: ['w'] }),
];

describe('text', () => {
  test('one line for each entry, in the order of time, whatever order they came in', () => {
    const lines = [
      '5 .. 20                   FAULT crash node 1',
      '10.25 .. 20               of-A acquire r priority 3 request q1 waits queued 15 -> granted A token 7 of r',
      '20 .. 50                  of-A HOLDS r exclusive lease A token 7, released',
      '25 .. 30                  of-A renew A -> renewed',
      "31 .. 41                  c7 fenced r token 7 saw '' wrote 'v1' -> written",
      '32 .. ?                   c1 acquire r+s shared any 1 -> unknown NO_QUORUM',
      '50 .. 60                  of-A release A -> released',
      '61 .. ?                   force r -> A B',
      '70 .. 70                  HEALED, alive by 90',
      '95 .. 95                  REST r: leases [A], waiters [w]',
    ];
    expect(formatHistory(each).split('\n')).toEqual(lines);
    expect(formatHistory([...each].reverse()).split('\n')).toEqual(lines);
  });

  test('a violation names its rule, and shows what proves it', () => {
    const text = check([held('B', 2, 50, 90), held('A', 1, 0, 60)]).map(formatViolation);
    expect(text.join('\n').split('\n')).toEqual([
      'overlap on r at 50: of-A (exclusive, lease A, token 1) relied on it until 60, of-B (exclusive, lease B, token 2) from 50: both for 10 ms',
      '  0 .. 60                   of-A HOLDS r exclusive lease A token 1, released',
      '  50 .. 90                  of-B HOLDS r exclusive lease B token 2, released',
    ]);
    expect(formatViolation({ rule: 'stuck', resource: '', atMs: 1, detail: 'why', entries: [] })).toBe(
      'stuck on no resource at 1: why',
    );
  });
});

describe('lines', () => {
  test('what is written is read again, tokens beyond a double included', () => {
    const large = 2n ** 63n + 1n;
    const all = [...each, held('Z', 1, 0, 1, { token: large })];
    expect(readEntries(all.map((entry) => `${writeEntry(entry)}\n`).join(''))).toEqual(all);
    expect(readEntries(all.map(writeEntry).join('\n'))).toEqual(all);
  });

  test('the last line of a killed process is let go, a broken one before it is not', () => {
    const [one, other] = each.slice(1, 3).map(writeEntry) as [string, string];
    for (let cut = 0; cut < other.length; cut += 1) {
      expect(readEntries(`${one}\n${other.slice(0, cut)}`)).toEqual([each[1]]);
    }
    expect(readEntries(`${one}\n${other}`)).toEqual([each[1], each[2]]);
    expect(() => readEntries(`${one.slice(0, -1)}\n${other}\n`)).toThrow();
  });
});

test('the tally counts what was done, refused and broken, and how soon each resource was granted again', () => {
  const history = [
    ...each,
    asked(),
    asked({ outcome: 'refused', reason: 'QUOTA' }),
    asked({ outcome: 'refused' }),
    granted('B', 8, 60, 82),
    granted('C', 9, 90, 95),
    granted('D', 5, 72, 99, { resources: ['q'] }),
    granted('E', 6, 72, 73, { resources: ['p'], replayed: true }),
    fault(66),
    healed(200, 300),
    granted('F', 10, 201, 230),
    granted('S', 11, 240, 250, { resources: ['s'] }),
    released('F', 300, 310, { outcome: 'unknown' }),
  ];
  expect(tally(history)).toEqual({
    operations: 16,
    granted: 7,
    refused: { BUSY: 1, QUOTA: 1, UNNAMED: 1 },
    unknown: 2,
    faults: { crash: 2 },
    recoveryMs: [12, 29, 30, 50],
    twinLost: 0,
  });
});

describe('registers', () => {
  test('an older token is refused once a newer one has read, a twin takes everything', () => {
    const fenced = new FencedRegister();
    const twin = new UnfencedTwin();
    for (const register of [fenced, twin]) {
      expect(register.read('r', 1n)).toEqual({ kind: 'value', value: EMPTY });
      expect(register.read('r', 2n)).toEqual({ kind: 'value', value: EMPTY });
      expect(register.write('r', 2n, EMPTY, 'b')).toBe('written');
    }
    expect(fenced.write('r', 1n, EMPTY, 'a')).toBe('stale');
    expect(fenced.read('r', 1n)).toEqual({ kind: 'stale' });
    expect(fenced.read('r', 2n)).toEqual({ kind: 'value', value: 'b' });
    expect(fenced.read('q', 1n)).toEqual({ kind: 'value', value: EMPTY });
    expect(twin.write('r', 1n, EMPTY, 'a')).toBe('written');
    expect(twin.read('r', 2n)).toEqual({ kind: 'value', value: 'a' });
  });

  test('whatever holders do, the fenced one loses nothing that the checker would find', () => {
    const act = fc.record({ token: fc.integer({ min: 1, max: 5 }), writes: fc.boolean() });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        const register = new FencedRegister();
        const saw = new Map<number, string>();
        const history = acts.flatMap(({ token, writes }, index): Entry[] => {
          const read = saw.get(token);
          saw.delete(token);
          if (!writes || read === undefined) {
            const answer = register.read('r', BigInt(token));
            if (answer.kind === 'value') saw.set(token, answer.value);
            return [];
          }
          const outcome = register.write('r', BigInt(token), read, `v${index}`);
          refused += outcome === 'stale' ? 1 : 0;
          return [wrote(token, read, `v${index}`, { calledMs: index, outcome })];
        });
        expect(check(history)).toEqual([]);
      }),
    );
    expect(refused).toBeGreaterThan(0);
  });
});

test('a long history costs little more than a short one for each entry: it is sorted, not compared in pairs', () => {
  const lengths = [2_000, 8_000];
  const [short = 0, long = 0] = lengths.map((length) => {
    const steps = Array.from({ length }, (_, index) => ({
      what: (index * 7919) % 100,
      who: index % 10,
      where: (index * 31) % 40,
      beforeMs: (index * 17) % 15,
      afterMs: (index * 13) % 15,
      more: (index * 101) % 100,
    }));
    let reads = 0;
    const watched = new SoundRun().play(steps).map((entry) => {
      const get = (target: Entry, key: string | symbol): unknown => {
        reads += 1;
        return Reflect.get(target, key);
      };
      return new Proxy(entry, { get });
    });
    check(watched, { order: { priorityStepMs: 40, livenessMs: 1000, slackMs: 45 } });
    return reads / watched.length;
  });
  expect(short).toBeGreaterThan(0);
  expect(long).toBeLessThan(2 * short);
});
