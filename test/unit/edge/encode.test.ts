/** Answers as a client reads them: encoded, sent through the generated contract, and decoded again. */
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import { limits } from '../../../src/domain/limits.ts';
import {
  duration,
  encodeAcquired,
  encodeInspection,
  encodeNews,
  encodePage,
  timestamp,
} from '../../../src/edge/encode.ts';
import { readPageToken } from '../../../src/edge/page-token.ts';
import { loadContract } from '../../../src/edge/protos.ts';
import { EVENTS_PER_MESSAGE } from '../../../src/edge/watch-calls.ts';
import type {
  Busy,
  HolderView,
  Inspection,
  LockEvent,
  LockSummary,
  WaiterView,
} from '../../../src/locks/locks.ts';

const { locks } = loadContract();
type Method<Output> = {
  responseSerialize(message: never): Buffer;
  responseDeserialize(bytes: Buffer): Output;
};
const bytes = (method: Method<unknown>, message: object): Buffer =>
  method.responseSerialize(message as never);
const read = <Output>(method: Method<Output>, message: object): Output =>
  method.responseDeserialize(bytes(method, message));

const TOKEN_MAX = 18_446_744_073_709_551_615n;
const lease: Lease = {
  kind: 'lease',
  leaseId: 'hf1.x',
  leaseRef: 'abcdefghijklmnop',
  resources: ['gpu/0', 'gpu/1'],
  token: TOKEN_MAX,
  owner: 'wörker',
  mode: 'exclusive',
  ttlMs: 1500,
  acquireTimeMs: 1_800_000_000_123,
  expireTimeMs: 1_800_000_001_623.25,
  labels: { team: 'vision' },
  replayed: true,
};
const holder: HolderView = {
  resource: 'gpu/0',
  owner: 'w2',
  leaseRef: 'abcdefghijklmnop',
  token: 9_007_199_254_740_993n,
  mode: 'shared',
  acquireTimeMs: 1_800_000_000_000,
  expireTimeMs: 1_800_000_030_000,
  labels: {},
  progress: 'epoch 3 of 10',
  traceparent: '',
};
const busy: Busy = {
  kind: 'busy',
  holders: [holder],
  queueLength: 2,
  position: 3,
  waitElapsed: true,
  retryAfterMs: 1250,
};

describe('times', () => {
  test.each([
    [0, '0', 0],
    [1500, '1', 500_000_000],
    [-1500, '-1', -500_000_000],
    [-0.5, '0', -500_000],
    [999.9999999, '1', 0],
    [-999.9999999, '-1', 0],
    [60_000, '60', 0],
  ])('%d ms is a span of %s s and %d ns', (ms, seconds, nanos) => {
    const span = duration(ms);
    expect([String(span.seconds).replace('-0', '0'), span.nanos]).toEqual([seconds, nanos]);
  });

  test.each([
    [1_800_000_000_123, 1_800_000_000, 123_000_000],
    [-1, -1, 999_000_000],
    [999.9999999, 1, 0],
  ])('%d ms is a time of %d s and %d ns', (ms, seconds, nanos) => {
    expect(timestamp(ms)).toEqual({ seconds, nanos });
  });
});

describe('Acquire', () => {
  test('a lease arrives as it was granted', () => {
    expect(read(locks.Acquire, encodeAcquired(lease))).toEqual({
      outcome: 'lease',
      lease: {
        lease_id: 'hf1.x',
        lease_ref: 'abcdefghijklmnop',
        resources: ['gpu/0', 'gpu/1'],
        fencing_token: '18446744073709551615',
        owner: 'wörker',
        mode: 'MODE_EXCLUSIVE',
        ttl: { seconds: '1', nanos: 500_000_000 },
        acquire_time: { seconds: '1800000000', nanos: 123_000_000 },
        expire_time: { seconds: '1800000001', nanos: 623_250_000 },
        labels: { team: 'vision' },
        replayed: true,
      },
    });
  });

  test('busy is an answer that names the holders', () => {
    expect(read(locks.Acquire, encodeAcquired(busy))).toEqual({
      outcome: 'busy',
      busy: {
        holders: [
          {
            resource: 'gpu/0',
            owner: 'w2',
            lease_ref: 'abcdefghijklmnop',
            fencing_token: '9007199254740993',
            mode: 'MODE_SHARED',
            acquire_time: { seconds: '1800000000', nanos: 0 },
            expire_time: { seconds: '1800000030', nanos: 0 },
            labels: {},
            progress: 'epoch 3 of 10',
            traceparent: '',
          },
        ],
        queue_length: 2,
        position: 3,
        wait_elapsed: true,
        retry_after: { seconds: '1', nanos: 250_000_000 },
      },
    });
  });

  test('a hint is never negative', () => {
    expect(encodeAcquired({ ...busy, retryAfterMs: -5 }).busy?.retry_after).toEqual(duration(0));
  });
});

const event: LockEvent = {
  type: 'released',
  timeMs: 1_800_000_000_000,
  resource: 'gpu/0',
  owner: 'w2',
  leaseRef: 'abcdefghijklmnop',
  token: 5n,
  reason: 'done',
};
const waiter: WaiterView = {
  owner: 'w3',
  position: 1,
  priority: 4,
  sinceMs: 1_800_000_000_500,
  mode: 'shared',
};
const inspection: Inspection = {
  kind: 'inspection',
  resource: 'gpu/0',
  state: 'unknown',
  holders: [holder],
  waiters: [waiter, { ...waiter, owner: 'w4', position: 2, mode: 'exclusive' }],
  lastToken: 6n,
  source: 'live',
  nodes: [
    { node: 'a', vote: 'held', fence: 6n, fenceClosed: true, leaseRef: 'x', remainingMs: 0, detail: '' },
    {
      node: 'b',
      vote: 'silent',
      fence: 0n,
      fenceClosed: false,
      leaseRef: '',
      remainingMs: 0,
      detail: 'timeout',
    },
  ],
  history: [event],
};

describe('Inspect', () => {
  test('shows holders, waiters, nodes and history', () => {
    const seen = read(locks.Inspect, encodeInspection(inspection));
    expect(seen).toMatchObject({
      state: 'STATE_UNKNOWN',
      source: 'SOURCE_LIVE',
      last_token: '6',
    });
    expect(seen.waiters).toEqual([
      {
        owner: 'w3',
        position: 1,
        priority: 4,
        since: { seconds: '1800000000', nanos: 500_000_000 },
        mode: 'MODE_SHARED',
      },
      expect.objectContaining({ owner: 'w4', position: 2, mode: 'MODE_EXCLUSIVE' }),
    ]);
    expect(seen.nodes).toMatchObject([
      { vote: 'VOTE_HELD', fence: '6', fence_closed: true, remaining: { seconds: '0', nanos: 0 } },
      { vote: 'VOTE_SILENT', fence: '0', remaining: null, detail: 'timeout' },
    ]);
    expect(seen.history).toMatchObject([
      { type: 'EVENT_TYPE_RELEASED', fencing_token: '5', reason: 'done', time: { seconds: '1800000000' } },
    ]);
  });
});

describe('answers of any size fit into one message', () => {
  const wide = 'ж';
  const fat: HolderView = {
    ...holder,
    resource: 'r'.repeat(limits.resourceLength),
    owner: wide.repeat(limits.ownerLength),
    progress: wide.repeat(limits.progressLength),
    labels: Object.fromEntries(
      Array.from({ length: limits.labels }, (_, at) => [
        `${at}`.padEnd(limits.labelKeyLength, wide),
        wide.repeat(limits.labelValueLength),
      ]),
    ),
  };
  const fatEvent: LockEvent = { ...event, owner: fat.owner, reason: wide.repeat(limits.reasonLength) };
  const many = <Item>(count: number, item: Item): Item[] => new Array<Item>(count).fill(item);

  test('Busy', () => {
    const holders = many(limits.resourcesPerRequest, fat);
    expect(bytes(locks.Acquire, encodeAcquired({ ...busy, holders })).length).toBeLessThan(
      limits.messageBytes,
    );
  });

  test('Inspect keeps the newest history and the head of the line', () => {
    const history = [event, ...many(limits.historyMax, fatEvent)];
    const waiters = [waiter, ...many(1000, { ...waiter, owner: fat.owner })];
    const message = encodeInspection({ ...inspection, holders: many(64, fat), waiters, history });
    expect(bytes(locks.Inspect, message).length).toBeLessThan(limits.messageBytes);
    expect(message.history?.[0]).toMatchObject({ owner: 'w2' });
    expect(message.waiters?.[0]).toMatchObject({ owner: 'w3' });
    expect(message.waiters?.length).toBeGreaterThan(100);
  });

  test('Watch', () => {
    const news = encodeNews(many(EVENTS_PER_MESSAGE, { ...fatEvent, resource: fat.resource }), 2 ** 32 - 1);
    expect(bytes(locks.Watch, news).length).toBeLessThan(limits.messageBytes);
    expect(read(locks.Watch, news)).toMatchObject({ missed: 2 ** 32 - 1 });
  });

  test('List ends a page early and goes on from there', () => {
    const summary = (at: number): LockSummary => ({
      resource: `gpu/${String(at).padStart(4, '0')}`,
      state: 'held',
      holders: [fat],
      queueLength: 0,
      lastToken: 1n,
    });
    const page = {
      kind: 'page' as const,
      locks: Array.from({ length: 1000 }, (_, at) => summary(at)),
      next: '',
    };
    const message = encodePage(page, 'gpu/', '');
    expect(bytes(locks.List, message).length).toBeLessThan(limits.messageBytes);
    const shown = message.locks?.length ?? 0;
    expect(shown).toBeGreaterThan(1);
    expect(shown).toBeLessThan(1000);
    expect(readPageToken(String(message.next_page_token), 'gpu/', '')).toBe(summary(shown - 1).resource);
  });

  test('a page that fits is left whole', () => {
    const locksSeen = [{ resource: 'a', state: 'free' as const, holders: [], queueLength: 1, lastToken: 0n }];
    const message = encodePage({ kind: 'page', locks: locksSeen, next: '' }, '', '');
    expect(read(locks.List, message)).toMatchObject({
      locks: [{ state: 'STATE_FREE' }],
      next_page_token: '',
    });
  });
});
