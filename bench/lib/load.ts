/** Keeps a fixed number of pairs in flight, for a time or for a count. */
import { countCpu, type Watched } from './cpu.ts';
import type { Side, Slice } from './stats.ts';

/** Acquires and releases what loop `loop` owns; rejects if either failed. */
export type Pair = (loop: number) => Promise<void>;

/** One in so many pairs tells how long it took: enough for a p99, too few to fill the heap. */
const SAMPLE = 8;

/** Every loop makes pairs one after the other until `ms` are over; the last ones are waited for. */
export function timed(pair: Pair, inFlight: number, watched: Watched): Side {
  return async (ms): Promise<Slice> => {
    const latenciesMs: number[] = [];
    const cpu = countCpu(watched);
    const startedMs = performance.now();
    let done = 0;
    const loop = async (index: number): Promise<void> => {
      let beforeMs = performance.now();
      while (beforeMs - startedMs < ms) {
        await pair(index);
        const nowMs = performance.now();
        done += 1;
        if (done % SAMPLE === 0) latenciesMs.push(nowMs - beforeMs);
        beforeMs = nowMs;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, (_, index) => loop(index)));
    return { done, tookMs: performance.now() - startedMs, cpu: cpu(), latenciesMs };
  };
}

/** Every loop makes exactly `each` pairs. */
export async function counted(pair: Pair, inFlight: number, each: number): Promise<void> {
  const loop = async (index: number): Promise<void> => {
    for (let made = 0; made < each; made += 1) await pair(index);
  };
  await Promise.all(Array.from({ length: inFlight }, (_, index) => loop(index)));
}
