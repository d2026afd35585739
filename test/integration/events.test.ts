/** Events on their way to a real Redis stream: through its deaths, its silence and ours, and never at a lock's expense. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EventMetrics } from '../../src/control/events/event-metrics.ts';
import type { Bounds } from '../../src/control/events/lane.ts';
import { MemorySink } from '../../src/control/events/memory.ts';
import { EventPipeline } from '../../src/control/events/pipeline.ts';
import { StreamSink } from '../../src/control/events/stream.ts';
import { systemClock } from '../../src/std/clock.ts';
import { EventStream } from '../harness/event-stream.ts';
import type { ReplicaProcess } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { repeat, until } from '../harness/until.ts';

const closing: (() => unknown)[] = [];
let stream: EventStream;

beforeAll(async () => {
  stream = await EventStream.start();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await stream.server.restart({ empty: true });
});

afterAll(() => stream.server.stop());

interface Opened {
  readonly memory: MemorySink;
  capture(count: number): void;
  /** The sum of a metric, read in this process. */
  inside(name: string): number;
}

/** A pipeline to the server, and to a memory beside it. */
function open(bounds: Partial<Bounds>, more: { entries?: number; capacity?: number } = {}): Opened {
  const metrics = new EventMetrics();
  const { capacity = 10_000, ...rest } = more;
  const pipeline = new EventPipeline({ clock: systemClock, capacity, metrics, notice: () => {}, bounds });
  const memory = new MemorySink(20_000);
  pipeline.add(new StreamSink({ url: stream.url, run: 'r1', ...rest }));
  pipeline.add(memory);
  closing.push(() => pipeline.close(2000));
  let next = 0;
  return {
    memory,
    capture(count) {
      for (let each = 0; each < count; each += 1) {
        next += 1;
        pipeline.probe.happened({
          type: 'granted',
          timeMs: 1000 + next,
          resources: ['~t/gpu/0', 'b'],
          owner: `o${next}`,
          lease: { leaseRef: 'ref', token: 2n ** 63n },
          reason: 'hf1.AbCdEfGhIjKlMnOpQrStUv.7.30000.Z3B1LzA.abc is mine',
        });
      }
    },
    inside(name) {
      const family = metrics.families.find((one) => one.name === name);
      return family?.get().values.reduce((sum, { value }) => sum + value, 0) ?? Number.NaN;
    },
  };
}

const numbers = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, at) => String(from + at));

const lengthIs = (count: number): Promise<unknown> =>
  until(`${count} entries`, async () => (await stream.length()) === count);

describe('a stream', () => {
  test('gets every event once, flat, with all fields and without secrets', async () => {
    const opened = open({ batchAgeMs: 20 });
    opened.capture(1);
    await lengthIs(1);
    expect(await stream.entries()).toEqual([
      {
        type: 'granted',
        time_ms: '1001',
        priority: 'routine',
        resources: '["~t/gpu/0","b"]',
        owner: 'o1',
        lease_ref: 'ref',
        token: '9223372036854775808',
        reason: 'hf1.*** is mine',
        run: 'r1',
        seq: '1',
      },
    ]);
  });

  test('keeps about as many entries as it may; without that bound all of them', async () => {
    const bounded = open({ batchAgeMs: 20 }, { entries: 200 });
    bounded.capture(2000);
    await until('the last is there', async () => (await stream.entries()).at(-1)?.seq === '2000');
    expect(await stream.length()).toBeLessThan(400);
    await stream.server.restart({ empty: true });
    const unbounded = open({ batchAgeMs: 20 });
    unbounded.capture(2000);
    await lengthIs(2000);
  });
});

describe('a server that is killed', () => {
  test('and is back soon gets what happened meanwhile, all of it and in order', async () => {
    const opened = open({ batchAgeMs: 20 });
    opened.capture(10);
    await lengthIs(10);
    await stream.server.kill();
    opened.capture(600);
    await until('deliveries fail', () => opened.inside('holdfast_sink_failures_total') > 0);
    // Another sink has long had them.
    await until('memory has them', () => opened.memory.all().length === 610);
    await stream.server.start();
    await lengthIs(610);
    expect((await stream.entries()).map(({ seq }) => seq)).toEqual(numbers(610));
    expect(opened.inside('holdfast_sink_dropped_total')).toBe(0);
  });

  test('and stays away misses events, and is told how many and of when as soon as it is back', async () => {
    const opened = open({ batchAgeMs: 20, tries: 2, retryMs: 20 }, { capacity: 300 });
    opened.capture(10);
    await lengthIs(10);
    await stream.server.kill();
    opened.capture(300);
    await until('all were given up', () => opened.inside('holdfast_sink_dropped_total') === 300);
    await stream.server.start();
    // The first tries may still meet the connection that is gone.
    await until('something arrives', async () => {
      opened.capture(1);
      return (await stream.length()) > 10;
    });
    const entries = await stream.entries();
    const missed = entries.filter(({ type }) => type === 'missed');
    const seqs = entries.flatMap(({ seq }) => (seq === undefined ? [] : [Number(seq)]));
    expect(missed.length).toBe(1);
    expect(missed[0]).toMatchObject({ type: 'missed', time_ms: '1011', run: 'r1' });
    // With the number of those that never came, the count is complete up to the last that did.
    const upTo = seqs.findIndex((seq, at) => at > 0 && seq > 11);
    expect(Number(missed[0]!.count) + 10).toBe(seqs[upTo]! - 1);
    expect(Number(missed[0]!.until_ms)).toBe(1000 + seqs[upTo]! - 1);
  });
});

describe('a service', () => {
  let scene: Scene;
  let folder = '';

  beforeAll(async () => {
    scene = await Scene.open();
    folder = await mkdtemp(join(tmpdir(), 'holdfast-events-'));
  });

  afterAll(async () => {
    await scene.close();
    await rm(folder, { recursive: true, force: true });
  });

  const auditOf = (name: string): string => join(folder, name);

  const serve = (name: string): Promise<ReplicaProcess> =>
    scene.process({ HOLDFAST_EVENT_STREAM: stream.url, HOLDFAST_AUDIT_LOG: auditOf(name) });

  const actsIn = (name: string): string[] =>
    readFileSync(auditOf(name), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ action }) => action !== 'audit_opened')
      .map(({ action, outcome, resources }) => `${action} ${outcome} ${resources}`);

  test('that is told to end hands over what it has, events and acts', async () => {
    const service = await serve('term');
    const lease = await service.client.lock('e/term', { owner: 'me' });
    await service.client.release(lease.lease_id);
    service.signal('SIGTERM');
    expect(await service.ended()).toBe(0);
    expect((await stream.entries()).map(({ type }) => type)).toEqual(['granted', 'released']);
    expect(actsIn('term')).toEqual(['acquire granted e/term', 'release released e/term']);
    const [granted] = await stream.entries();
    expect(granted).toMatchObject({ lease_ref: lease.lease_ref, token: lease.fencing_token });
    const all = `${JSON.stringify(await stream.entries())}${readFileSync(auditOf('term'), 'utf8')}`;
    expect(all).not.toContain(lease.lease_id.split('.')[1]);
  });

  const metric = async ({ http }: ReplicaProcess, name: string): Promise<number> => {
    const text = await (await fetch(`http://${http}/metrics`)).text();
    return Number(new RegExp(`^${name}{sink="stream"} (\\d+)$`, 'm').exec(text)?.[1]);
  };

  /** Whether it was killed while what had happened last still waited: a stall gives that the time to leave. */
  async function killedInTime(name: string): Promise<boolean> {
    const service = await serve(name);
    await service.client.lock(`e/${name}/0`, { owner: 'first' });
    await until('the first has arrived', async () => (await stream.told()).includes('granted first'));
    for (const n of [1, 2, 3]) await service.client.lock(`e/${name}/${n}`, { owner: 'later' });
    await until('all are in the audit log', () => actsIn(name).length === 4);
    // What does not wait leaves while others are served.
    await repeat(10, async () => void (await service.client.inspect(`e/${name}/0`)));
    await service.stop();
    await stream.left();
    const told = await stream.told();
    expect(told[0]).toBe('granted first');
    expect(actsIn(name)).toEqual([0, 1, 2, 3].map((n) => `acquire granted e/${name}/${n}`));
    if (told.length === 1) return true;
    await stream.server.restart({ empty: true });
    return false;
  }

  test('that is killed loses the events of the last half second, and nothing of what was delivered', async () => {
    let round = 0;
    await until('it was killed in time', () => killedInTime(`kill${round++}`), 30_000);
  });

  test('grants while the server of its stream stands still, and tells of it', async () => {
    const service = await serve('still');
    stream.server.pause();
    try {
      for (let round = 0; round < 20; round += 1) {
        const lease = await service.client.lock('e/still', { owner: 'me' });
        expect(await service.client.release(lease.lease_id)).toBe(true);
      }
      await until('they wait', async () => (await metric(service, 'holdfast_sink_pending')) === 40);
      await until(
        'a delivery has failed',
        async () => (await metric(service, 'holdfast_sink_failures_total')) > 0,
      );
      expect(service.output).toContain('events do not reach stream');
    } finally {
      stream.server.resume();
    }
    await until('all have arrived', async () => (await stream.told()).length >= 40);
    await until('and it says so', () => service.output.includes('events reach stream again'));
  });

  test('that loses its majority makes an event of it at once, which / shows as well', async () => {
    const alone = await Scene.open();
    closing.push(() => alone.close());
    const service = await alone.process({ HOLDFAST_EVENT_STREAM: stream.url });
    const lease = await service.client.lock('e/forced', { owner: 'me' });
    await service.client.force({ resource: 'e/forced', reason: 'it hangs' });
    await until('the force-release has arrived', async () => (await stream.told()).includes('forced me'));
    for (const server of alone.nodes.servers.slice(1)) await server.kill();
    await until('the loss has arrived', async () => (await stream.told()).includes('quorum_lost '));
    expect((await stream.entries()).at(-1)).toMatchObject({ priority: 'now', reason: 'without n2, n3' });
    const { recent } = (await (await fetch(`http://${service.http}/`)).json()) as { recent: unknown[] };
    expect(recent).toEqual([
      { time: expect.any(String), type: 'forced', leaseRef: lease.lease_ref, token: lease.fencing_token },
      { time: expect.any(String), type: 'quorum_lost' },
    ]);
  });
});
