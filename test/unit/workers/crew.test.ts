/** Workers are started, replaced with growing pauses, given up, and drained; nobody is replaced during a drain. */
import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../src/std/clock.ts';
import { Crew, DRAINED, type Hand, type Life } from '../../../src/workers/crew.ts';

class Worker implements Hand {
  readonly number: number;
  readonly life: Life;
  readonly pid: number;
  readonly told: string[] = [];

  constructor(number: number, life: Life, pid: number) {
    this.number = number;
    this.life = life;
    this.pid = pid;
  }

  drain(): void {
    this.told.push('drain');
  }

  kill(): void {
    this.told.push('kill');
  }
}

function stage(count = 2) {
  const clock = new ManualClock();
  const spawned: Worker[] = [];
  const seen: string[] = [];
  const crew = new Crew<Worker>({
    count,
    clock,
    notice: (_level, message, facts) => seen.push(`${message}: ${String(facts?.why ?? facts?.worker)}`),
    spawn(number, life) {
      const worker = new Worker(number, life, 100 + spawned.length);
      spawned.push(worker);
      return worker;
    },
    joined: (number) => seen.push(`joined ${number}`),
    left: (number) => seen.push(`left ${number}`),
  });
  return { clock, spawned, seen, crew };
}

/** A stage on which all have come up. */
async function running(count = 2) {
  const scene = stage(count);
  const started = scene.crew.start();
  for (const worker of scene.spawned) worker.life.up();
  await started;
  return scene;
}

/** Ends the youngest worker, and how long it takes until there is another. */
function pauseAfterEnd({ clock, spawned }: ReturnType<typeof stage>): number {
  const before = spawned.length;
  spawned.at(-1)!.life.ended('signal SIGKILL');
  let pausedMs = 0;
  while (spawned.length === before && pausedMs < 60_000) {
    clock.advance(10);
    pausedMs += 10;
  }
  return pausedMs;
}

describe('starting', () => {
  test('is over when all are up, and not before', async () => {
    const { crew, spawned, seen } = stage(3);
    let over = false;
    const started = crew.start().then(() => {
      over = true;
    });
    expect(spawned.map(({ number }) => number)).toEqual([1, 2, 3]);
    spawned[2]!.life.up();
    spawned[0]!.life.up();
    await Promise.resolve();
    expect(over).toBe(false);
    spawned[1]!.life.up();
    await started;
    expect(seen).toEqual(['joined 3', 'joined 1', 'joined 2']);
    expect(crew.up().map(([number]) => number)).toEqual([1, 2, 3]);
  });

  test('fails with what the first worker says that cannot', async () => {
    const { crew, spawned } = stage();
    const started = crew.start();
    spawned[0]!.life.up();
    spawned[1]!.life.failed('no such thing');
    spawned[1]!.life.ended('exit code 2');
    await expect(started).rejects.toThrow('worker 2: no such thing');
  });

  test('fails when a worker hangs in it', async () => {
    const { crew, spawned, clock } = stage(1);
    const started = crew.start();
    clock.advance(29_999);
    expect(spawned[0]!.told).toEqual([]);
    clock.advance(1);
    expect(spawned[0]!.told).toEqual(['kill']);
    spawned[0]!.life.ended('signal SIGKILL');
    await expect(started).rejects.toThrow('worker 1: it did not start within 30 s');
  });

  test('a worker that is up is not killed for starting late', async () => {
    const { spawned, clock } = await running();
    clock.advance(60_000);
    expect(spawned.map(({ told }) => told)).toEqual([[], []]);
  });
});

describe('a worker that dies', () => {
  test('is replaced under its number, soon, and the others are left alone', async () => {
    const { crew, spawned, seen, clock } = await running();
    spawned[0]!.life.ended('signal SIGKILL');
    expect(seen.slice(2)).toEqual(['left 1', 'a worker ended and is replaced: signal SIGKILL']);
    expect(crew.up().map(([number]) => number)).toEqual([2]);
    clock.advance(100);
    expect(spawned.map(({ number }) => number)).toEqual([1, 2, 1]);
    expect(crew.up()).toHaveLength(1);
    spawned[2]!.life.up();
    expect(crew.up().map(([, { pid }]) => pid)).toEqual([102, 101]);
    expect(crew.restarts).toBe(1);
  });

  test('again and again comes back after longer and longer, up to a bound; one that lived well comes back soon', async () => {
    const scene = await running(1);
    const pauses: number[] = [];
    for (let round = 0; round < 9; round += 1) {
      pauses.push(pauseAfterEnd(scene));
      scene.spawned.at(-1)!.life.up();
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    scene.clock.advance(10_000);
    expect(pauseAfterEnd(scene)).toBe(100);
  });

  test('and cannot be started any more ends the service, with its reason', async () => {
    const scene = await running(2);
    const { crew, clock, spawned } = scene;
    spawned[1]!.life.ended('signal SIGKILL');
    for (let start = 1; start <= 5; start += 1) {
      clock.advance(10_000);
      expect(spawned).toHaveLength(2 + start);
      spawned.at(-1)!.life.failed('out of everything');
      spawned.at(-1)!.life.ended('exit code 2');
    }
    expect(await crew.gaveUp).toBe('worker 2: out of everything');
    clock.advance(60_000);
    expect(spawned).toHaveLength(7);
  });

  test('and starts in vain four times, then comes up, has all its starts again', async () => {
    const { clock, spawned, seen } = await running(1);
    for (let turn = 0; turn < 3; turn += 1) {
      spawned.at(-1)!.life.ended('signal SIGKILL');
      for (let start = 1; start <= 4; start += 1) {
        clock.advance(10_000);
        spawned.at(-1)!.life.ended('exit code 2');
      }
      clock.advance(10_000);
      spawned.at(-1)!.life.up();
    }
    expect(seen.filter((line) => line === 'joined 1')).toHaveLength(4);
  });
});

describe('a drain', () => {
  test('asks each, waits for all, and was orderly when each ended by itself', async () => {
    const { crew, spawned, clock } = await running();
    let orderly: boolean | undefined;
    const drained = crew.drain(1000).then((said) => {
      orderly = said;
    });
    expect(spawned.map(({ told }) => told)).toEqual([['drain'], ['drain']]);
    spawned[0]!.life.ended(DRAINED);
    clock.advance(500);
    await Promise.resolve();
    expect(orderly).toBeUndefined();
    spawned[1]!.life.ended(DRAINED);
    await drained;
    expect(orderly).toBe(true);
    clock.advance(60_000);
    expect(spawned).toHaveLength(2);
    expect(spawned.map(({ told }) => told)).toEqual([['drain'], ['drain']]);
  });

  test('replaces nobody, and was not orderly when one died in it', async () => {
    const { crew, spawned, clock } = await running();
    const drained = crew.drain(1000);
    spawned[0]!.life.ended('signal SIGKILL');
    spawned[1]!.life.ended(DRAINED);
    expect(await drained).toBe(false);
    clock.advance(60_000);
    expect(spawned).toHaveLength(2);
  });

  test('kills whoever does not end, after its limit and a little', async () => {
    const { crew, spawned, clock } = await running();
    const drained = crew.drain(1000);
    spawned[0]!.life.ended(DRAINED);
    clock.advance(5999);
    expect(spawned[1]!.told).toEqual(['drain']);
    clock.advance(1);
    expect(spawned[1]!.told).toEqual(['drain', 'kill']);
    spawned[1]!.life.ended('signal SIGKILL');
    expect(await drained).toBe(false);
  });

  test('waits for nobody who was away, and kills who was still starting', async () => {
    const { crew, spawned, clock } = await running(3);
    spawned[0]!.life.ended('signal SIGKILL');
    spawned[1]!.life.ended('signal SIGKILL');
    clock.advance(100);
    spawned[2]!.life.ended('signal SIGKILL');
    // Workers 1 and 2 start again, 3 is away.
    expect(spawned.map(({ number }) => number)).toEqual([1, 2, 3, 1, 2]);
    const drained = crew.drain(1000);
    expect([spawned[3]!.told, spawned[4]!.told]).toEqual([['kill'], ['kill']]);
    spawned[3]!.life.ended('signal SIGKILL');
    spawned[4]!.life.ended('signal SIGKILL');
    expect(await drained).toBe(true);
    clock.advance(60_000);
    expect(spawned).toHaveLength(5);
  });
});
