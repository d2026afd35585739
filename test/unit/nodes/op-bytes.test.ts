/** Operations as answer.lua reads them: the plain kinds field by field, everything else as MessagePack. */
import { Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import type { HoldOp, NodeOp, ReleaseOp } from '../../../src/nodes/node.ts';
import { batchBytes } from '../../../src/nodes/op-bytes.ts';

const TOKEN = 9_007_199_254_740_991n;
const HOLD: HoldOp = {
  kind: 'hold',
  secret: 'secret',
  token: TOKEN,
  value: `secret|${TOKEN}`,
  leaseRef: 'ref',
  resources: ['a'],
  ttlMs: 70_000,
  owner: 'w1',
  card: '{"t":5}',
  seen: 0n,
};
const RELEASE: ReleaseOp = {
  kind: 'release',
  secret: 'secret',
  token: TOKEN,
  value: `secret|${TOKEN}`,
  resources: ['a'],
  why: 'released',
  reason: '',
  closing: false,
  seen: 0n,
};

/** Reads a batch the way the script does. */
function read(bytes: Buffer): unknown[][] {
  const found: unknown[][] = [];
  let at = 0;
  const take = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const kind = take(1).toString();
    if (kind === 'h') {
      const name = take(take(1)[0]!).toString();
      const [token, ttlMs] = [take(8).readDoubleLE(), take(4).readUInt32LE()];
      const [from, till] = [take(2).readUInt16LE(), take(2).readUInt16LE()];
      found.push([kind, name, token, ttlMs, from, till, take(take(2).readUInt16LE())]);
    } else if (kind === 'r' || kind === 'b') {
      found.push([kind, take(take(1)[0]!).toString(), take(8).readDoubleLE(), take(take(1)[0]!).toString()]);
    } else {
      found.push([kind, new Unpackr().unpack(take(take(4).readUInt32LE()))]);
    }
  }
  return found;
}

describe('a plain hold', () => {
  test('brings its record from the fence on, as the node stores it', () => {
    const [[kind, name, token, ttlMs, from, till, put]] = read(batchBytes([HOLD])) as [
      [string, string, number, number, number, number, Buffer],
    ];
    expect([kind, name, token, ttlMs]).toEqual(['h', 'a', Number(TOKEN), 70_000]);
    const head = `${TOKEN}\u001fref\u001fw1`;
    expect(put.readDoubleLE(0)).toBe(Number(TOKEN));
    // The measures of the body: where the token begins, how long the value is, where the owner ends.
    expect([put[8], put[9], put.readUInt16LE(10)]).toEqual([8, HOLD.value.length, 7 + head.length]);
    expect(put.subarray(12).toString()).toBe(`secret|${head}{"t":5}`);
    // From 1, as Lua counts.
    expect(put.subarray(from - 1, till).toString()).toBe(head);
  });

  test('measures in bytes what is not ASCII', () => {
    const [[, , , , from, till, put]] = read(
      batchBytes([{ ...HOLD, owner: 'Jürgen', card: '{"l":"é☃"}' }]),
    ) as [[string, string, number, number, number, number, Buffer]];
    expect(put.subarray(from - 1, till).toString()).toBe(`${TOKEN}\u001fref\u001fJürgen`);
    expect(put.subarray(till).toString()).toBe('{"l":"é☃"}');
  });
});

test('a plain release is its name, token and value', () => {
  expect(read(batchBytes([RELEASE]))).toEqual([['r', 'a', Number(TOKEN), RELEASE.value]]);
});

test('one with binding 0 says so by its letter, one with another binding is not plain', () => {
  expect(read(batchBytes([{ ...RELEASE, binding: 0 }]))).toEqual([['b', 'a', Number(TOKEN), RELEASE.value]]);
  expect(read(batchBytes([{ ...RELEASE, binding: 1 }]))).toEqual([
    ['p', ['r', 'a', Number(TOKEN), RELEASE.value, 'released', '', 0, 1, 0, '']],
  ]);
});

const ALL = { value: 'v', token: TOKEN, ttlMs: 5, leaseRef: 'ref', resources: ['a', 'b'] };
const HELD = { ...ALL, secret: 's', owner: 'w1', card: '{}' };
// A body and its measures: where the token begins, how long the value is, where the owner ends (in bytes).
const BODY = ['v\u001fref\u001fw1{}', 3, 1, 8];
const NUMBER = Number(TOKEN);
const LONG = 'x'.repeat(256);

test.each([
  [{ kind: 'hold', ...HELD, seen: 7n }, ['h', ['a', 'b'], NUMBER, 5, ...BODY, 7]],
  [{ kind: 'hold', ...HELD, resources: ['a'], seen: 7n }, ['h', 'a', NUMBER, 5, ...BODY, 7]],
  [{ kind: 'hold', ...HELD, resources: [LONG], seen: 0n }, ['h', LONG, NUMBER, 5, ...BODY]],
  [
    { kind: 'hold', ...HELD, resources: ['a'], ttlMs: 2 ** 32, seen: 0n },
    ['h', 'a', NUMBER, 2 ** 32, ...BODY],
  ],
  [
    { kind: 'hold', ...HELD, resources: ['a'], seen: 0n, marker: { key: 'k', digest: 'd' } },
    ['h', 'a', NUMBER, 5, ...BODY, 0, 'k', 'd'],
  ],
  [{ kind: 'renew', ...ALL }, ['n', ['a', 'b'], NUMBER, 'v', 5, 'ref', '']],
  [{ kind: 'renew', ...ALL, progress: 'p' }, ['n', ['a', 'b'], NUMBER, 'v', 5, 'ref', 'p']],
  [{ kind: 'renew', ...ALL, binding: 0 }, ['n', ['a', 'b'], NUMBER, 'v', 5, 'ref', '', 0, 0]],
  [{ kind: 'renew', ...ALL, binding: 2, binds: true }, ['n', ['a', 'b'], NUMBER, 'v', 5, 'ref', '', 2, 1]],
  [
    { kind: 'repair', ...HELD, binding: 3, progress: 'p' },
    ['p', ['a', 'b'], NUMBER, 5, ...BODY, 3, 'p', '', ''],
  ],
  [
    {
      ...RELEASE,
      value: 'v',
      why: 'undone',
      reason: 'x',
      closing: true,
      binding: 0,
      seen: 2n,
      markerKey: 'k',
    },
    ['r', 'a', NUMBER, 'v', 'undone', 'x', 1, 0, 2, 'k'],
  ],
  [{ ...RELEASE, value: 'v', resources: ['a', 'b'] }, ['r', ['a', 'b'], NUMBER, 'v']],
  [{ ...RELEASE, value: 'v', resources: [LONG] }, ['r', LONG, NUMBER, 'v']],
  [{ ...RELEASE, value: LONG }, ['r', 'a', NUMBER, LONG]],
  [{ ...RELEASE, value: 'v', reason: 'x' }, ['r', 'a', NUMBER, 'v', 'released', 'x', 0, -1, 0, '']],
  [{ kind: 'force', resource: 'a', leaseRef: '', reason: 'x' }, ['f', 'a', '', 'x']],
  [{ kind: 'look', resource: 'a', history: 64 }, ['v', 'a', 64]],
  [{ kind: 'list', prefix: 'p', after: 'q', limit: 9 }, ['l', 'p', 'q', 9]],
  [{ kind: 'sweep', after: 'q', limit: 9 }, ['w', 'q', 9]],
  [{ kind: 'ping' }, ['g']],
] as unknown as [NodeOp, unknown[]][])('packed: %o', (op, tuple) => {
  expect(read(batchBytes([op]))).toEqual([['p', tuple]]);
});

test('a copy of an operation that was sent is written anew', () => {
  batchBytes([RELEASE]);
  const closing: ReleaseOp = { ...RELEASE, closing: true };
  expect(read(batchBytes([closing]))).toEqual([
    ['p', ['r', 'a', NUMBER, RELEASE.value, 'released', '', 1, -1, 0, '']],
  ]);
});

test('operations follow each other in order, and the same again are the same bytes', () => {
  const operations: NodeOp[] = [HOLD, { kind: 'ping' }, RELEASE, { kind: 'ping' }];
  const bytes = batchBytes(operations);
  expect(read(bytes).map(([kind]) => kind)).toEqual(['h', 'p', 'r', 'p']);
  expect(batchBytes([...operations])).toBe(bytes);
});
