/** How long each of many calls took, beside calls that do nothing and are timed in the same way in the same run. */
import { openSync, readSync } from 'node:fs';
import type { Happening, Probe } from '../../src/domain/probe.ts';
import { pause, systemClock } from '../../src/std/clock.ts';

export type Call = Probe['happened'];

const SPACE = 0x20;
const ZERO = 0x30;

/**
 * For how long this thread has stood in line for a core, by the kernel: exact when it gets one. The CPU that it has used
 * will not do: that moves in jumps of milliseconds, and says nothing of a call that sleeps.
 */
function waitedByKernel(): (() => number) | undefined {
  let file: number;
  try {
    file = openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return undefined;
  }
  const text = Buffer.alloc(64);
  return () => {
    readSync(file, text, 0, text.length, 0);
    let at = text.indexOf(SPACE) + 1;
    let ns = 0;
    for (; text[at] !== SPACE; at += 1) ns = ns * 10 + text[at]! - ZERO;
    return ns / 1e6;
  };
}

const counted = waitedByKernel();
const waitedMs = counted ?? ((): number => 0);

/** Empty where the wait for a core is known; else what a bench says of its figures. */
export const withoutWaits =
  counted === undefined
    ? 'no /proc/thread-self/schedstat here: a call is charged for the time in which others had the core'
    : '';

/** Of each call: by the clock, and the most that it can have taken itself. */
export class Times {
  readonly wallMs: Float64Array;
  /**
   * Without the time in which others had the core, V8's compiler among them: a call that makes it start is often put
   * aside for it where cores are few. Only what is certain is taken off.
   */
  readonly ownMs: Float64Array;

  constructor(count: number) {
    this.wallMs = new Float64Array(count);
    this.ownMs = new Float64Array(count);
  }

  take(at: number, call: Call, event: Happening): void {
    // The kernel is asked within the outer pair of times: so what is taken off lies in what it is taken off from.
    const outerMs = performance.now();
    const waitedBeforeMs = waitedMs();
    const beforeMs = performance.now();
    call(event);
    const wallMs = performance.now() - beforeMs;
    const waitMs = waitedMs() - waitedBeforeMs;
    this.wallMs[at] = wallMs;
    this.ownMs[at] = Math.min(wallMs, performance.now() - outerMs - waitMs);
  }

  over(limitMs: number): number {
    return this.ownMs.filter((ms) => ms > limitMs).length;
  }
}

export interface Timed {
  readonly call: Times;
  readonly nothing: Times;
}

/** `perSecond` calls at a steady pace, each with one to `nothing` before or behind it, by turns. */
export async function paced(
  call: Call,
  nothing: Call,
  eventAt: (at: number) => Happening,
  count: number,
  perSecond: number,
): Promise<Timed> {
  const times = { call: new Times(count), nothing: new Times(count) };
  const startedMs = performance.now();
  for (let at = 0; at < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) * perSecond) / 1000));
    for (; at < due; at += 1) {
      const event = eventAt(at);
      if (at % 2 === 0) times.call.take(at, call, event);
      times.nothing.take(at, nothing, event);
      if (at % 2 === 1) times.call.take(at, call, event);
    }
    await pause(systemClock, 1);
  }
  return times;
}
