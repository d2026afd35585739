/** Every form of answer that the scripts give, as the rest of the code reads it. */
import { describe, expect, test } from 'vitest';
import { requestMemoryMs } from '../../../src/domain/limits.ts';
import { adminText, factsOf, parseAdmin } from '../../../src/nodes/admin-wire.ts';
import { keyList, keysOf } from '../../../src/nodes/keys.ts';
import { SCHEMA } from '../../../src/nodes/node.ts';
import { parseAnswer, stampArgs } from '../../../src/nodes/wire.ts';

const NOW = 1_800_000_000_000_000;
const BIG = '9007199254740993';
const holderTuple = ['r', 'ref', BIG, 'w1', 1234, '{"a":1}', 2, 'half'];
const holder = {
  resource: 'r',
  leaseRef: 'ref',
  token: 9_007_199_254_740_993n,
  owner: 'w1',
  remainingMs: 1234,
  card: '{"a":1}',
  binding: 2,
  progress: 'half',
};
const lineTuple = [2, 3, '1800000000000000', '1799999995000000', ['r'], true];
const line = {
  position: 2,
  length: 3,
  ticket: 1_800_000_000_000_000,
  order: 1_799_999_995_000_000,
  free: ['r'],
  tangled: true,
};
const waiterTuple = ['id', 'w2', '1800000000000000', '1799999995000000', 1, 1, 2, ['r', 's', 't']];
const waiter = {
  id: 'id',
  owner: 'w2',
  ticket: 1_800_000_000_000_000,
  order: 1_799_999_995_000_000,
  priority: 1,
  mode: 'shared',
  any: 2,
  resources: ['r', 's', 't'],
};
const eventText = ['released', '5', BIG, 'ref', 'w1', 'done'].join('\u001f');
const event = {
  type: 'released',
  timeMicros: 5,
  token: holder.token,
  leaseRef: 'ref',
  owner: 'w1',
  reason: 'done',
};

describe('parseAnswer', () => {
  test.each([
    ['h', { kind: 'held' }],
    ['d', { kind: 'dup' }],
    ['R', { kind: 'released', matched: true }],
    ['r', { kind: 'released', matched: false }],
    ['x', { kind: 'mismatch' }],
    ['a', { kind: 'ahead', nowMicros: NOW }],
    ['g', { kind: 'pong', nowMicros: NOW }],
    ['c', { kind: 'crowded' }],
    ['t', { kind: 'settled' }],
    ['k', { kind: 'watching' }],
    ['T', { kind: 'told' }],
  ])('%s', (text, answer) => {
    expect(parseAnswer(text, NOW)).toEqual(answer);
  });

  test.each<[unknown[], unknown]>([
    [['c', [holderTuple, holderTuple]], { kind: 'conflict', holders: [holder, holder] }],
    [['c', [holderTuple], false], { kind: 'conflict', holders: [holder] }],
    [['c', [holderTuple], lineTuple], { kind: 'conflict', holders: [holder], line }],
    [['W', lineTuple], { kind: 'wait', line }],
    [['q', lineTuple], { kind: 'queued', line }],
    [['L', true, lineTuple, {}], { kind: 'left', matched: true, line, holders: [] }],
    [
      ['L', false, false, [holderTuple]],
      {
        kind: 'left',
        matched: false,
        line: { position: 0, length: 0, ticket: 0, order: 0, free: [], tangled: false },
        holders: [holder],
      },
    ],
    [['o', {}], { kind: 'waiting', waiters: [] }],
    [['o', [waiterTuple]], { kind: 'waiting', waiters: [waiter] }],
    [
      ['v', ['r', false, '-', '-', {}, [holderTuple], [3, [waiterTuple]]]],
      {
        kind: 'seen',
        view: { resource: 'r', readers: [holder], line: { length: 3, waiters: [waiter] }, history: [] },
      },
    ],
    [['s', BIG], { kind: 'stale', fence: holder.token }],
    [
      ['e', holderTuple, 'key', 'digest', true],
      { kind: 'extended', holder, markerKey: 'key', markerDigest: 'digest', waited: true },
    ],
    [['b', 4], { kind: 'bound', binding: 4 }],
    [['m', 'expired'], { kind: 'missing', why: 'expired' }],
    [['p', 'value', holderTuple], { kind: 'replay', value: 'value', holder }],
    [['E', 'value', 'forced'], { kind: 'ended', value: 'value', why: 'forced' }],
    [['f', 'value', holderTuple], { kind: 'forced', value: 'value', holder }],
    [['f', '', false], { kind: 'forced', value: '', holder: null }],
    [['v', false], { kind: 'seen', view: null }],
    [['v', ['r', false, '-', '-', {}, {}, false]], { kind: 'seen', view: { resource: 'r', history: [] } }],
    [
      ['v', ['r', holderTuple, BIG, 'O', [eventText], {}, false]],
      {
        kind: 'seen',
        view: { resource: 'r', holder, fence: { token: holder.token, state: 'open' }, history: [event] },
      },
    ],
    ...(
      [
        ['o', 'open'],
        ['r', 'released'],
        ['f', 'forced'],
        ['u', 'undone'],
      ] as const
    ).map(([letter, state]): [unknown[], unknown] => [
      ['v', ['r', false, '7', letter, {}, {}, false]],
      { kind: 'seen', view: { resource: 'r', fence: { token: 7n, state }, history: [] } },
    ]),
    [['l', {}, false], { kind: 'listed', views: [], more: false }],
    [
      ['l', [['r', false, '-', '-', {}, {}, false]], true],
      { kind: 'listed', views: [{ resource: 'r', history: [] }], more: true },
    ],
    [['w', 'r', 2, 3], { kind: 'swept', next: 'r', expired: 2, dropped: 3 }],
    [['!', 'amnesia', 'no meta'], { kind: 'silent', why: 'amnesia', detail: 'no meta' }],
  ])('%j', (tuple, answer) => {
    expect(parseAnswer(JSON.stringify(tuple), NOW)).toEqual(answer);
  });

  test('an answer of a kind that nobody knows is silence that names it', () => {
    expect(parseAnswer('["z"]', NOW)).toMatchObject({
      kind: 'silent',
      why: 'error',
      detail: expect.stringContaining('z'),
    });
  });
});

test('the stamp names the proposer, and remembers a request for ten minutes or two longest ttls', () => {
  const stamp = { runId: 'run', nodeId: 'n', cluster: 'c', longestTtlMs: 60_000 };
  const [who, longest, , , , memory] = stampArgs(stamp);
  expect(who).toBe([SCHEMA, 'n', 'c', '60000', 'run'].join('\u001f'));
  expect([longest, memory]).toEqual(['60000000', String(requestMemoryMs * 1000)]);
  const hourMs = 3_600_000;
  expect(stampArgs({ ...stamp, longestTtlMs: hourMs })[5]).toBe(String(2 * hourMs * 1000));
});

test('every key begins with the namespace', () => {
  for (const key of keyList(keysOf('ns'))) expect(key).toMatch(/^ns:/);
  expect(new Set(keyList(keysOf('ns'))).size).toBe(6);
});

describe('admission on the wire', () => {
  test('reads every answer of admin.lua', () => {
    const texts = {
      schema: '1',
      nodeId: 'n',
      cluster: 'c',
      runId: 'run',
      durable: '1',
      longestTtlMs: '5',
      floor: BIG,
      suspectUntil: '9',
    };
    const meta = {
      ...texts,
      schema: 1,
      durable: true,
      longestTtlMs: 5,
      floor: holder.token,
      suspectUntil: 9,
    };
    const waiting = { id: 'q', runId: 'run', cluster: 'c', why: 'why', adopted: '0', longestTtlMs: '5' };
    const cases: [unknown, unknown][] = [
      [{ kind: 'state' }, { kind: 'state' }],
      [
        { kind: 'state', meta: texts },
        { kind: 'state', meta },
      ],
      [
        { kind: 'state', quarantine: waiting },
        { kind: 'state', quarantine: { ...waiting, adopted: false, longestTtlMs: 5 } },
      ],
      [{ kind: 'done' }, { kind: 'done' }],
      [
        { kind: 'lost', detail: 'd' },
        { kind: 'lost', detail: 'd' },
      ],
      [
        { kind: 'fences', entries: {}, next: '', floor: '0' },
        { kind: 'fences', entries: [], next: '', floor: 0n },
      ],
      [
        { kind: 'fences', entries: [['r', BIG, 'u', '']], next: 'r', floor: '7' },
        {
          kind: 'fences',
          entries: [{ resource: 'r', token: holder.token, state: 'undone', opener: '' }],
          next: 'r',
          floor: 7n,
        },
      ],
    ];
    for (const [raw, answer] of cases) expect(parseAdmin(JSON.stringify(raw))).toEqual(answer);
    expect(parseAdmin('{"kind":"other"}')).toMatchObject({ kind: 'failed' });
  });

  test('sends tokens as text: a double would round them', () => {
    const entry = { resource: 'r', token: holder.token, state: 'forced', opener: '' } as const;
    const text = adminText({
      kind: 'takeover',
      runId: 'run',
      quarantineId: 'q',
      entries: [entry],
      floor: holder.token,
    });
    expect(JSON.parse(text)).toMatchObject({ floor: BIG, entries: [['r', BIG, 'f', '']] });
  });

  test('reads what a process says of itself; without leave to ask it counts as one that may lose writes', () => {
    const info = [
      '# Server',
      'redis_version:7.0.15',
      'run_id:abc',
      'role:master',
      'cluster_enabled:0',
      'aof_enabled:1',
      'maxmemory_policy:noeviction',
      '',
    ].join('\r\n');
    const facts = {
      runId: 'abc',
      role: 'master',
      clusterEnabled: false,
      maxmemoryPolicy: 'noeviction',
      version: '7.0.15',
    };
    expect(factsOf(info, ['appendfsync', 'always'])).toEqual({ ...facts, durable: true });
    expect(factsOf(info, ['appendfsync', 'everysec'])).toEqual({ ...facts, durable: false });
    expect(factsOf(info, new Error('NOPERM'))).toEqual({ ...facts, durable: false });
    expect(factsOf(info.replace('aof_enabled:1', 'aof_enabled:0'), ['appendfsync', 'always']).durable).toBe(
      false,
    );
    expect(factsOf('', undefined)).toMatchObject({ runId: '', role: '', durable: false });
  });
});
