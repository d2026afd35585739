/** Locking and unlocking leaves nothing behind in the process that does it: no memory, no thread, no file, no listener. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Language, languages } from '../harness/client-work.ts';
import { Program, PYTHON, PYTHON_ENV, withoutPython } from '../harness/program.ts';
import { ReplicaProcess } from '../harness/replica.ts';
import { here } from '../harness/scene.ts';

/** By hand many more, with figures: HOLDFAST_ROUNDS=100000. */
const FEW_ROUNDS = 2000;
const ROUNDS = Number(process.env.HOLDFAST_ROUNDS ?? FEW_ROUNDS);
/** Slower than any machine that this is tried on. */
const ROUND_MS = 25;
const TIMEOUT_MS = 60_000 + ROUNDS * ROUND_MS;
const MIB = 1024 * 1024;
/** What comes and goes by itself: caches of the runtime, sockets that gRPC closes a moment later. */
const STRAY_OBJECTS = 300;
const STRAY_FDS = 8;
const STRAY_THREADS = 2;
const STRAY_HEAP = MIB;
const STRAY_RSS = 16 * MIB;

/** What a process says of itself at each tenth of its rounds. */
interface Sample {
  readonly round: number;
  readonly tookMs: number;
  readonly rss: number;
  readonly threads: number;
  readonly fds: number;
  /** Python: all that the collector knows; TypeScript: leases. */
  readonly objects: number;
  readonly heap?: number;
  readonly handles?: number;
  readonly listeners?: number;
}

let replica: ReplicaProcess;

beforeAll(async () => {
  replica = await ReplicaProcess.start('', { HOLDFAST_MAX_TTL: '30s', HOLDFAST_LOG_LEVEL: 'info' });
});
afterAll(() => replica.stop());

/** What it was after two tenths, in which everything was done more than once, and at the end. */
async function rounds(
  language: Language,
  count: number,
  ...more: string[]
): Promise<{ warm: Sample; last: Sample }> {
  const args = [replica.address, String(count), ...more];
  const program =
    language === 'typescript'
      ? new Program([process.execPath, '--expose-gc', '--no-warnings', here('client-rounds.ts'), ...args], {})
      : new Program([PYTHON, here('client-rounds.py'), language, ...args], PYTHON_ENV);
  expect(await program.ended(TIMEOUT_MS), program.err).toBe(0);
  const samples = program.lines as unknown as Sample[];
  const [, warm, ...rest] = samples;
  if (count > FEW_ROUNDS) {
    for (const { tookMs, rss, heap = 0 } of samples) {
      const perSecond = ((count / 10) * 1000) / tookMs;
      console.log(
        `${language}: ${perSecond.toFixed(0)} rounds/s, rss ${(rss / MIB).toFixed(1)} MiB, heap ${(heap / MIB).toFixed(1)}`,
      );
    }
  }
  return { warm: warm!, last: rest.at(-1)! };
}

describe(`locking and unlocking ${ROUNDS} times in every way${withoutPython}`, () => {
  test.each(languages)('%s: leaves the process as it was', { timeout: TIMEOUT_MS }, async (language) => {
    const { warm, last } = await rounds(language, ROUNDS);
    expect(last.round).toBe(ROUNDS);
    expect(last.objects).toBeLessThanOrEqual(warm.objects + (language === 'typescript' ? 0 : STRAY_OBJECTS));
    expect(last.threads).toBeLessThanOrEqual(warm.threads + STRAY_THREADS);
    expect(last.fds).toBeLessThanOrEqual(warm.fds + STRAY_FDS);
    expect(last.rss).toBeLessThanOrEqual(warm.rss + STRAY_RSS);
    if (language === 'typescript') {
      expect(last.heap).toBeLessThanOrEqual(warm.heap! + STRAY_HEAP);
      expect(last.handles).toBeLessThanOrEqual(warm.handles! + STRAY_FDS);
      expect(last.listeners).toBe(warm.listeners);
    }
  });

  test.each(languages)(
    '%s: one that forgets no lease and closes no client is found out',
    { timeout: TIMEOUT_MS },
    async (language) => {
      const { warm, last } = await rounds(language, FEW_ROUNDS, 'kept');
      // Half of the rounds, or nearly, keep theirs.
      const kept = (last.round - warm.round) * 0.3;
      expect(last.objects - warm.objects).toBeGreaterThan(kept);
      expect(kept).toBeGreaterThan(STRAY_OBJECTS);
      expect(last.fds - warm.fds).toBeGreaterThan(STRAY_FDS);
    },
  );
});
