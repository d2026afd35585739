/** The count of validity: never longer than what the service keeps, whatever is delayed, lost, cut or resumed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Count, usableMs } from '../../src/core/count.ts';

/** One thing that happens; times are parts of the ttl. */
interface Step {
  readonly what: 'renew' | 'deliver' | 'resume' | 'heartbeat' | 'cut' | 'wait';
  readonly gap: number;
  readonly delay: number;
}

/** The larger may run by 1 % faster than the slower, either way. */
const RATES = { min: 0.99, max: 1 / 0.99 };

/**
 * The service's side, in the holder's time: its clock runs `rate` times as fast, so what it keeps for a span it keeps
 * for `span / rate` of ours. A stream's `expire_time` is told on its own epoch, as src/locks/hold.ts makes it.
 */
class Service {
  nowMs = 0;
  /** Until when it certainly keeps the lease. */
  keptUntilMs = 0;
  readonly #ttlMs: number;
  readonly #rate: number;
  #epochMs = 0;
  #undelivered: number[] = [];

  constructor(ttlMs: number, rate: number) {
    this.#ttlMs = ttlMs;
    this.#rate = rate;
  }

  /** A grant or a resume: a new epoch. */
  anchor(epochMs: number): number {
    this.#undelivered = [];
    this.#keep();
    this.#epochMs = epochMs - this.nowMs * this.#rate;
    return this.#told();
  }

  renew(): void {
    this.#keep();
    this.#undelivered.push(this.#told());
  }

  heartbeat(): void {
    this.#keep();
  }

  /** All that was sent, in any order: the newest must win. */
  delivered(): number[] {
    return this.#undelivered.splice(0).reverse();
  }

  /** It may give the lease back once the grace is over. */
  end(graceMs: number): void {
    this.#undelivered = [];
    this.keptUntilMs = Math.min(this.keptUntilMs, this.nowMs + graceMs / this.#rate);
  }

  #keep(): void {
    this.keptUntilMs = Math.max(this.keptUntilMs, this.nowMs + this.#ttlMs / this.#rate);
  }

  #told(): number {
    return this.#epochMs + this.nowMs * this.#rate + this.#ttlMs;
  }
}

const step = fc.record<Step>({
  what: fc.constantFrom('renew', 'renew', 'deliver', 'deliver', 'resume', 'heartbeat', 'cut', 'wait'),
  gap: fc.double({ min: 0, max: 0.6, noNaN: true }),
  delay: fc.double({ min: 0, max: 0.5, noNaN: true }),
});

const run = fc.record({
  ttlMs: fc.integer({ min: 100, max: 60_000 }),
  graceMs: fc.integer({ min: 0, max: 5000 }),
  rate: fc.double({ ...RATES, noNaN: true }),
  delay: fc.double({ min: 0, max: 2, noNaN: true }),
  steps: fc.array(step, { maxLength: 60 }),
});
type Run = typeof run extends fc.Arbitrary<infer T> ? T : never;

/** By how much the count was ever longer than what was kept; negative if never. */
function longest({ ttlMs, graceMs, rate, delay, steps }: Run, count: Count): number {
  const service = new Service(ttlMs, rate);
  let worst = Number.NEGATIVE_INFINITY;
  const judge = (): void => {
    // What has ended is over: a holder looks before it goes on.
    if (count.untilMs > service.nowMs) worst = Math.max(worst, count.untilMs - service.keptUntilMs);
  };
  const asked = (act: () => void, part: number): number => {
    const sentMs = service.nowMs;
    service.nowMs += part * ttlMs;
    act();
    return sentMs;
  };
  let told = 0;
  let sentMs = asked(() => (told = service.anchor(1000)), delay);
  count.anchor(sentMs, ttlMs, told);
  judge();
  for (const { what, gap, delay: part } of steps) {
    service.nowMs += gap * ttlMs;
    if (count.untilMs <= service.nowMs) return worst;
    if (what === 'renew') service.renew();
    else if (what === 'deliver') for (const each of service.delivered()) count.credit(each);
    else if (what === 'resume') {
      sentMs = asked(() => (told = service.anchor(part * 1e12)), part);
      count.anchor(sentMs, ttlMs, told);
    } else if (what === 'heartbeat')
      count.proof(
        asked(() => service.heartbeat(), part),
        ttlMs,
      );
    else if (what === 'cut') {
      count.cut(service.nowMs, graceMs);
      // Nothing is asked of a stream that has ended: what follows is a resume, or the end.
      service.end(graceMs);
    }
    judge();
  }
  return worst;
}

describe('the count', () => {
  test('is never longer than what the service keeps', () => {
    let relied = 0;
    fc.assert(
      fc.property(run, (made) => {
        const worst = longest(made, new Count());
        if (worst > Number.NEGATIVE_INFINITY) relied += 1;
        expect(worst).toBeLessThanOrEqual(0);
      }),
      { numRuns: 3000 },
    );
    // One that never relies on anything would pass, too.
    expect(relied).toBeGreaterThan(500);
  });

  /** Each breaks one rule. */
  const wrong: Readonly<Record<string, new () => Count>> = {
    'takes credit whole': class extends Count {
      #told = 0;
      override anchor(sentMs: number, ttlMs: number, toldMs: number): void {
        this.#told = toldMs;
        super.anchor(sentMs, ttlMs, toldMs);
      }
      override credit(toldMs: number): void {
        super.credit(this.#told + (toldMs - this.#told) / 0.99);
      }
    },
    'counts from the answer': class extends Count {
      override anchor(sentMs: number, ttlMs: number, toldMs: number): void {
        super.anchor(sentMs + ttlMs / 10, ttlMs, toldMs);
      }
    },
    'adds later renewals to a Heartbeat': class extends Count {
      #told = 0;
      override anchor(sentMs: number, ttlMs: number, toldMs: number): void {
        this.#told = toldMs;
        super.anchor(sentMs, ttlMs, toldMs);
      }
      override credit(toldMs: number): void {
        this.#told = Math.max(this.#told, toldMs);
        super.credit(toldMs);
      }
      override proof(sentMs: number, ttlMs: number): void {
        if (!this.isCut) super.anchor(sentMs, ttlMs, this.#told);
      }
    },
    'is not cut': class extends Count {
      override cut(): void {}
    },
    'lengthens what was cut': class extends Count {
      override proof(sentMs: number, ttlMs: number): void {
        super.anchor(sentMs, ttlMs, 0);
      }
    },
  };

  test.each(Object.keys(wrong))('one that %s is caught', (rule) => {
    const made = fc.sample(run, { numRuns: 3000, seed: 7 });
    expect(made.some((each) => longest(each, new wrong[rule]!()) > 0)).toBe(true);
  });
});

describe('its parts', () => {
  test('a grant is good from before it was asked for, for its ttl less 1 % and 2 ms', () => {
    const count = new Count();
    expect(count.untilMs).toBe(Number.NEGATIVE_INFINITY);
    count.anchor(1000, 30_000, 5);
    expect(count.untilMs).toBe(1000 + 29_698);
    expect(usableMs(30_000)).toBe(29_698);
  });

  test('renewals add what their times are apart, less 1 %, in whatever order they arrive', () => {
    const count = new Count();
    count.anchor(0, 1000, 500);
    count.credit(1500);
    expect(count.untilMs).toBe(988 + 990);
    count.credit(900);
    expect(count.untilMs).toBe(988 + 990);
  });

  test('it is worn after four ttls of credit, until it is anchored anew', () => {
    const count = new Count();
    count.anchor(0, 1000, 0);
    count.credit(4000);
    expect(count.isWorn).toBe(false);
    count.credit(4001);
    expect(count.isWorn).toBe(true);
    count.anchor(4000, 1000, 77);
    expect(count.isWorn).toBe(false);
  });

  test('a cut counts from when it was seen, and only a new anchor lengthens it', () => {
    const count = new Count();
    count.anchor(0, 30_000, 0);
    count.cut(100, 1000);
    expect(count.untilMs).toBe(100 + 750);
    count.credit(20_000);
    count.proof(200, 30_000);
    expect(count.untilMs).toBe(850);
    count.anchor(300, 30_000, 0);
    expect(count.untilMs).toBe(300 + 29_698);
    const none = new Count();
    none.anchor(0, 30_000, 0);
    none.cut(100, 0);
    expect(none.untilMs).toBe(100);
  });

  test('a grant after a wait is stale once a quarter of the ttl is gone', () => {
    const count = new Count();
    count.anchor(0, 1000, 0);
    expect([count.isStale(200), count.isStale(300)]).toEqual([false, true]);
  });
});
