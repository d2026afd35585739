/** The Watch stream as a real client meets it: batches, slow readers, the ways it ends, and what it leaves behind. */
import { type ClientReadableStream, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WatchResponse__Output } from '../../src/edge/gen/holdfast/v1/WatchResponse.ts';
import type { Edge } from '../../src/edge/server.ts';
import { EVENTS_KEPT, EVENTS_PER_MESSAGE } from '../../src/edge/watch-calls.ts';
import type { LockEvent, Watcher } from '../../src/locks/locks.ts';
import { acquireRequest, contract, RawCall, Stage, unary } from '../unit/edge/harness.ts';
import { decodeStatus } from '../unit/edge/rpc-status.ts';

const { Watch } = contract.locks;
let stage: Stage;
let edge: Edge;

beforeEach(async () => {
  stage = new Stage();
  edge = await stage.edge();
});
afterEach(() => stage.close());

const PATIENCE = { timeout: 10_000, interval: 5 };

const event = (at: number, more: Partial<LockEvent> = {}): LockEvent => ({
  type: 'granted',
  timeMs: 1_800_000_000_000,
  resource: `gpu/${at}`,
  owner: 'w1',
  leaseRef: 'abcdefghijklmnop',
  token: BigInt(at),
  reason: '',
  ...more,
});

/** One watch; `standing` when the client knows that it stands. */
class Reader {
  readonly call: ClientReadableStream<WatchResponse__Output>;
  readonly messages: WatchResponse__Output[] = [];
  readonly standing: Promise<Metadata>;
  readonly ended: Promise<ServiceError>;

  constructor(request: object, { reads = true } = {}) {
    const client = stage.client(edge.addresses[0]!);
    const { path, requestSerialize, responseDeserialize } = Watch;
    const body = request as never;
    this.call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, body, {});
    this.standing = new Promise((resolve) => this.call.on('metadata', resolve));
    this.ended = new Promise((resolve) => this.call.on('error', resolve));
    this.call.on('data', (message: WatchResponse__Output) => this.messages.push(message));
    if (!reads) this.call.pause();
  }

  get tokens(): number[] {
    return this.messages.flatMap(({ events }) => events.map(({ fencing_token }) => Number(fencing_token)));
  }

  get missed(): number {
    return this.messages.reduce((sum, { missed }) => sum + missed, 0);
  }
}

async function watching(request: object = {}, options = {}): Promise<{ reader: Reader; watcher: Watcher }> {
  const before = new Set(stage.locks.watchers.keys());
  const reader = new Reader(request, options);
  await reader.standing;
  const watcher = [...stage.locks.watchers.keys()].find((one) => !before.has(one))!;
  return { reader, watcher };
}

/** A reader that opens its window once and never again, which no gRPC client does of itself. */
async function stalled(headers: Record<string, string> = {}): Promise<RawCall> {
  const raw = new RawCall(edge.addresses[0]!, Watch.path, headers);
  stage.onClose(() => raw.close());
  raw.stream.pause();
  raw.stream.end(Buffer.alloc(5));
  await vi.waitFor(() => expect(stage.locks.watchers.size).toBe(1), PATIENCE);
  const [watcher] = stage.locks.watchers.keys();
  for (const at of numbers(10_000)) watcher!.event(event(at, { reason: 'x'.repeat(500) }));
  return raw;
}

const reasonOf = (error: ServiceError) => decodeStatus(error.metadata).details.ErrorInfo?.reason;
const nobodyWatches = () => vi.waitFor(() => expect(stage.locks.watchers.size).toBe(0), PATIENCE);
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe('events', () => {
  test('arrive whole, from the moment the stream stands, for what was asked', async () => {
    const { reader, watcher } = await watching({ resources: ['gpu/0'], prefix: 'job/' });
    expect([...stage.locks.watchers.values()]).toEqual([{ resources: ['gpu/0'], prefix: 'job/' }]);
    watcher.event(event(7, { type: 'released', reason: 'done' }));
    await vi.waitFor(() => expect(reader.messages).toHaveLength(1), PATIENCE);
    expect(reader.messages).toEqual([
      {
        events: [
          {
            type: 'EVENT_TYPE_RELEASED',
            time: { seconds: '1800000000', nanos: 0 },
            resource: 'gpu/7',
            owner: 'w1',
            lease_ref: 'abcdefghijklmnop',
            fencing_token: '7',
            reason: 'done',
            source: 'SOURCE_UNSPECIFIED',
          },
        ],
        missed: 0,
      },
    ]);
  });

  test('of one turn of the loop travel in one message, up to a bound, in their order', async () => {
    const { reader, watcher } = await watching();
    const sent = numbers(EVENTS_PER_MESSAGE + 3);
    for (const at of sent) watcher.event(event(at));
    await vi.waitFor(() => expect(reader.tokens).toEqual(sent), PATIENCE);
    expect(reader.messages.map(({ events }) => events.length)).toEqual([EVENTS_PER_MESSAGE, 3]);
    expect(reader.missed).toBe(0);
  });

  test('that the locks missed are counted, also when no event follows', async () => {
    const { reader, watcher } = await watching();
    watcher.missed(3);
    watcher.missed(4);
    await vi.waitFor(() => expect(reader.messages).toEqual([{ events: [], missed: 7 }]), PATIENCE);
    watcher.missed(2 ** 33);
    await vi.waitFor(() => expect(reader.messages.at(-1)?.missed).toBe(2 ** 32 - 1), PATIENCE);
  });
});

describe('a slow reader', () => {
  const SENT = 40_000;
  const reason = 'x'.repeat(500);

  /** In turns of the loop, as events come. */
  async function flood(watcher: Watcher): Promise<void> {
    for (let at = 1; at <= SENT; at += 1) {
      watcher.event(event(at, { reason }));
      if (at % 100 === 0) await new Promise(setImmediate);
    }
  }

  test('is kept a bounded number of events, the newest, and is told how many it missed', async () => {
    const { reader, watcher } = await watching({}, { reads: false });
    await flood(watcher);
    reader.call.resume();
    await vi.waitFor(() => expect(reader.tokens.at(-1)).toBe(SENT), PATIENCE);
    expect(reader.tokens.length + reader.missed).toBe(SENT);
    // A stream of Node takes 16 messages before it says that it is full: one at each end, and one is on its way.
    expect(reader.tokens.length).toBeLessThanOrEqual(33 * EVENTS_PER_MESSAGE + EVENTS_KEPT);
    // Nothing is told out of order, and what follows a gap stands in a message that counts the gap.
    let last = 0;
    for (const { events, missed } of reader.messages) {
      const tokens = events.map(({ fencing_token }) => Number(fencing_token));
      expect(tokens[0]).toBe(last + missed + 1);
      last = tokens.at(-1)!;
    }
    expect(reader.tokens.slice(-EVENTS_KEPT)).toEqual(numbers(SENT).slice(-EVENTS_KEPT));
  });

  test('delays nobody else', async () => {
    const slow = await watching({}, { reads: false });
    const quick = await watching();
    for (let at = 1; at <= 2000; at += 1) {
      slow.watcher.event(event(at, { reason }));
      if (at % 10 > 0) continue;
      quick.watcher.event(event(at));
      await vi.waitFor(() => expect(quick.reader.tokens.at(-1)).toBe(at), PATIENCE);
    }
    expect(quick.reader.missed).toBe(0);
  });

  test('that goes away leaves nothing behind', async () => {
    const { reader, watcher } = await watching({}, { reads: false });
    await flood(watcher);
    reader.call.cancel();
    await nobodyWatches();
  });
});

describe('the stream ends', () => {
  test('when it is cancelled, and the locks are told', async () => {
    const { reader, watcher } = await watching();
    reader.call.cancel();
    expect((await reader.ended).code).toBe(status.CANCELLED);
    await nobodyWatches();
    watcher.event(event(1));
    watcher.missed(1);
    await vi.waitFor(
      () => expect(stage.calls).toEqual(['holdfast.v1.LockService/Watch CANCELLED']),
      PATIENCE,
    );
  });

  test.each([
    ['its connection breaks', (raw: RawCall) => raw.close()],
    ['the server stops', () => edge.stop()],
  ])('when %s', async (_what, end) => {
    const raw = new RawCall(edge.addresses[0]!, Watch.path);
    raw.stream.end(Buffer.alloc(5));
    await vi.waitFor(() => expect(stage.locks.watchers.size).toBe(1), PATIENCE);
    await end(raw);
    await nobodyWatches();
  });

  test('at its deadline, though the reader takes nothing', async () => {
    const raw = await stalled({ 'grpc-timeout': '300m' });
    await nobodyWatches();
    raw.stream.resume();
    expect(await raw.status).toBe(String(status.DEADLINE_EXCEEDED));
  });

  test('though the locks have not said yet that it stands', async () => {
    let stand = (): void => {};
    stage.locks.onWatch = () =>
      new Promise((resolve) => {
        stand = resolve;
      });
    const reader = new Reader({});
    await vi.waitFor(() => expect(stage.locks.watchers.size).toBe(1), PATIENCE);
    const drained = edge.drain(60_000);
    expect(reasonOf(await reader.ended)).toBe('DRAINING');
    stand();
    await nobodyWatches();
    await drained;
  });
});

describe('a drain', () => {
  test('ends it at once with DRAINING, after what it still knew', async () => {
    const { reader, watcher } = await watching();
    watcher.event(event(1));
    const drained = edge.drain(30_000);
    const error = await reader.ended;
    expect([error.code, reasonOf(error)]).toEqual([status.UNAVAILABLE, 'DRAINING']);
    expect(decodeStatus(error.metadata).details.RetryInfo).toBeDefined();
    expect(reader.tokens).toEqual([1]);
    expect(stage.locks.watchers.size).toBe(0);
    await drained;
  });

  test('ends it before calls under way are over', async () => {
    let go = (): void => {};
    stage.locks.onAcquire = (ask) =>
      new Promise((resolve) => {
        go = () => resolve(stage.locks.grant(ask));
      });
    const granted = unary(stage.client(edge.addresses[0]!), contract.locks.Acquire, acquireRequest());
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), PATIENCE);
    const { reader } = await watching();
    const drained = edge.drain(60_000);
    expect(reasonOf(await reader.ended)).toBe('DRAINING');
    // Nor does a new one begin.
    expect(reasonOf(await new Reader({}).ended)).toBe('DRAINING');
    go();
    expect(await granted).toMatchObject({ outcome: 'lease' });
    await drained;
  });

  test('is not held up by a reader that takes nothing', async () => {
    const raw = await stalled();
    const startedMs = performance.now();
    await edge.drain(60_000);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(stage.locks.watchers.size).toBe(0);
    raw.stream.resume();
    expect(await raw.status).toBe('none');
  });
});

describe('a bad request', () => {
  test('names every field and never reaches the locks', async () => {
    const error = await new Reader({ resources: ['a', 'a', 'b c'], prefix: 'p q' }).ended;
    expect([error.code, reasonOf(error)]).toEqual([status.INVALID_ARGUMENT, 'INVALID_FIELD']);
    const { BadRequest } = decodeStatus(error.metadata).details;
    expect(BadRequest?.field_violations.map(({ field }) => field)).toEqual([
      'resources[1]',
      'resources[2]',
      'prefix',
    ]);
    expect(stage.locks.watchers.size).toBe(0);
    expect(stage.operations).toEqual(['watch refused INVALID_FIELD']);
  });

  test('that is no message is the caller’s fault', async () => {
    const raw = new RawCall(edge.addresses[0]!, Watch.path);
    stage.onClose(() => raw.close());
    raw.send(Buffer.from([0x0a, 0xff]));
    raw.stream.end();
    expect(await raw.status).toBe(String(status.INVALID_ARGUMENT));
  });
});

test('a defect of the service stays in its log', async () => {
  stage.locks.onWatch = () => Promise.reject(new Error('secret cause'));
  const error = await new Reader({}).ended;
  expect([error.code, reasonOf(error)]).toEqual([status.INTERNAL, 'INTERNAL']);
  expect(error.details).not.toContain('secret');
  expect(JSON.stringify(stage.notices)).toContain('secret cause');
});
