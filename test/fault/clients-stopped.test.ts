/** Users of a client that is killed, stopped, blocked or forked: their work ends before somebody else's lease begins. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type Language,
  type Looks,
  languages,
  nowMs,
  type Places,
  Shift,
  type Wish,
  type Worker,
} from '../harness/client-work.ts';
import { withoutPython } from '../harness/program.ts';
import { ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 1000;
/** A process that hangs is found after both. */
const KEEPALIVE = { HOLDFAST_KEEPALIVE_TIME: '300ms', HOLDFAST_KEEPALIVE_TIMEOUT: '600ms' };
/** Of a busy machine. */
const SLACK_MS = 5000;
/** In which a thread that waits to be told is told, once its process runs again. */
const TOLD_MS = 1000;
const STEPS = 20;

let replica: ReplicaProcess;
let places: Places;
let shift: Shift;

beforeAll(async () => {
  replica = await ReplicaProcess.start('', KEEPALIVE);
  places = { holders: replica.address, rival: replica.address };
});
afterAll(() => replica.stop());

const all = (looks: Looks): Wish[] => languages.map((language) => ({ language, looks }));
const known = (language: Language): Language => (languages.includes(language) ? language : 'typescript');

async function begin(fault: string, wishes: readonly Wish[], graceMs = TTL_MS): Promise<Shift> {
  shift = await Shift.begin(places, fault, wishes, { ttlMs: TTL_MS, graceMs });
  onTestFinished(() => shift.end());
  return shift;
}

describe(`a process that ends or stands still${withoutPython}`, () => {
  test('SIGKILL ends the work, and the next one has the lock as soon as the grace is over', async () => {
    const { workers } = await begin('killed', all('told'), 0);
    const killedMs = nowMs();
    await Promise.all(workers.map((worker) => worker.kill()));
    for (const { worker, late, grantedMs } of await shift.outcomes('told')) {
      expect(late, worker.name).toEqual([]);
      expect(grantedMs - killedMs, worker.name).toBeLessThan(SLACK_MS);
    }
  });

  test('after SIGSTOP and SIGCONT who checks does no step more, and who waits to be told at most one', async () => {
    const heedless: Wish = { language: known('asyncio'), looks: 'none' };
    const { workers } = await begin('stopped', [...all('told'), ...all('check'), heedless]);
    const stoppedMs = nowMs();
    await Promise.all(workers.map((worker) => worker.stop()));
    await shift.outcomes('told', 'check', 'none');
    await until('three ttls are over', () => nowMs() > stoppedMs + 3 * TTL_MS);

    const wokenMs = nowMs();
    for (const worker of workers) worker.signal('SIGCONT');
    for (const { why, remaining } of await shift.lost()) {
      expect(why).toBe('expired');
      expect(remaining).toBe(0);
    }
    for (const { worker, late } of await shift.outcomes('check')) expect(late, worker.name).toEqual([]);
    for (const { worker, late } of await shift.outcomes('told')) {
      // An event loop does what is due before it tells; of threads nobody knows which runs first.
      if (worker.orders.language !== 'python') expect(late.length, worker.name).toBeLessThanOrEqual(1);
      for (const timeMs of late) expect(timeMs - wokenMs, worker.name).toBeLessThan(TOLD_MS);
    }
    await shift.anomalies();
  });

  test('after a block of two ttls who checks knows at once, and who waits to be told a turn later', async () => {
    const heedless: Wish = { language: 'typescript', looks: 'none' };
    const { workers } = await begin('blocked', [...all('told'), ...all('check'), heedless]);
    for (const worker of workers) worker.signal('SIGUSR2');
    for (const worker of shift.of('told', 'check')) {
      const { valid } = await worker.says('unblocked');
      expect(valid, worker.name).toBe(worker.orders.looks === 'told');
    }
    await Promise.all(shift.of('told', 'check').map(unblocked));
    await shift.anomalies();
  });
});

/** Its lease is lost, or stands: gRPC for Python answers the service beside a blocked interpreter. */
async function unblocked(worker: Worker): Promise<void> {
  const { language, looks } = worker.orders;
  const steps = worker.timesMs.length + STEPS;
  const stands = () => language !== 'typescript' && looks === 'told' && worker.timesMs.length > steps;
  await until(`${worker.name} is lost, or works on`, () => worker.said('lost') !== undefined || stands());
  if (worker.said('lost') === undefined) await worker.kill();
  else expect(worker.said('lost'), worker.name).toMatchObject({ why: 'expired', remaining: 0 });
  const { late } = await shift.outcome(worker);
  const turns = language === 'typescript' && looks === 'told' ? 1 : 0;
  expect(late.length, worker.name).toBeLessThanOrEqual(turns);
}

describe.skipIf(withoutPython !== '')(`a process that forks${withoutPython}`, () => {
  const forked = (looks: Looks): Wish => ({ language: 'python', looks: 'check', child: looks });

  test('its child owns no lease: it does no step, while its parent works on and after that was killed', async () => {
    const { workers } = await begin('forked', [forked('check')]);
    const [worker] = workers as [(typeof workers)[number]];
    expect(await worker.says('child lost')).toMatchObject({ why: 'unknown', remaining: 0 });
    const steps = worker.timesMs.length;
    await until('the parent works on', () => worker.timesMs.length > steps + STEPS);
    expect(shift.granted(worker.name)).toBe(false);
    // The child keeps the sockets of its parent open: what the service sees is silence.
    await worker.kill();
    expect((await shift.outcome(worker)).late).toEqual([]);
    expect(worker.childMs).toEqual([]);
  });

  test('a child that does not ask works under the lease of another', async () => {
    const { workers } = await begin('forked heedless', [forked('none')]);
    const [worker] = workers as [(typeof workers)[number]];
    await worker.kill();
    const { grantedMs } = await shift.outcome(worker);
    const late = () => worker.childMs.filter((timeMs) => timeMs > grantedMs).length > STEPS;
    await until('the child works on', late);
  });
});
