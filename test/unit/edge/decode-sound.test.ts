/** What a sound request becomes, and what a refusal keeps to itself. */
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { formatLeaseId } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import {
  decodeAcquire,
  decodeCheckToken,
  decodeForceRelease,
  decodeHeartbeat,
  decodeInspect,
  decodeList,
  decodeRelease,
  decodeWatch,
} from '../../../src/edge/decode.ts';
import { pageTokenAfter } from '../../../src/edge/page-token.ts';
import { loadContract } from '../../../src/edge/protos.ts';

const settings = { minTtlMs: 100, maxTtlMs: 60_000, defaultTtlMs: 30_000 };
const contract = loadContract();

/** Through the wire and back, so that the requests are what handlers really get. */
type Method = { requestSerialize(message: never): Buffer; requestDeserialize(bytes: Buffer): unknown };
const overWire = <Output>(method: Method, message: object): Output =>
  method.requestDeserialize(method.requestSerialize(message as never)) as Output;

const id = formatLeaseId({ secret: 'A'.repeat(22), token: 7n, ttlMs: 30_000, resources: ['gpu/0'] });
const seconds = (value: number | string, nanos = 0) => ({ seconds: value, nanos });

const acquireBase = { resources: ['gpu/0', 'gpu/1'], owner: 'w1' };
const acquire = (more: object) =>
  decodeAcquire(overWire(contract.locks.Acquire, { ...acquireBase, ...more }), settings);
const heartbeat = (more: object) =>
  decodeHeartbeat(overWire(contract.locks.Heartbeat, { lease_id: id, ...more }), settings);
const release = (more: object) => decodeRelease(overWire(contract.locks.Release, { lease_id: id, ...more }));
const inspect = (more: object) =>
  decodeInspect(overWire(contract.locks.Inspect, { resource: 'gpu/0', ...more }));
const list = (more: object) => decodeList(overWire(contract.locks.List, more));
const checkToken = (more: object) =>
  decodeCheckToken(overWire(contract.locks.CheckToken, { resource: 'gpu/0', fencing_token: '7', ...more }));
const force = (more: object) =>
  decodeForceRelease(overWire(contract.admin.ForceRelease, { resource: 'gpu/0', reason: 'hangs', ...more }));

const watch = (more: object) => decodeWatch(overWire(contract.locks.Watch, more));

const fieldsOf = (answer: object): string[] => {
  const refusal = answer as Refusal;
  expect(refusal).toMatchObject({ kind: 'refusal', reason: 'INVALID_FIELD' });
  for (const { description } of refusal.fields) expect(description).not.toBe('');
  return refusal.fields.map(({ field }) => field);
};

const LONG = (length: number): string => 'x'.repeat(length);
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `gpu/${at}`);
const labels = (count: number): Record<string, string> =>
  Object.fromEntries(names(count).map((name) => [name, 'x']));

describe('secrets', () => {
  test('a lease_id that does not parse is not repeated', () => {
    const almost = `${id}x`;
    for (const decode of [heartbeat, release]) {
      const said = JSON.stringify(decode({ lease_id: almost }));
      expect(said).not.toContain(id.slice(0, 12));
      expect(said).not.toContain('AAAA');
    }
  });

  test('a request_id that breaks its rule is not repeated', () => {
    expect(JSON.stringify(acquire({ request_id: `hush${LONG(200)}` }))).not.toContain('hush');
  });
});

describe('a sound request passes', () => {
  test('Acquire with its defaults', () => {
    expect(acquire({})).toEqual({
      resources: ['gpu/0', 'gpu/1'],
      owner: 'w1',
      ttlMs: 30_000,
      waitMs: 0,
      mode: 'exclusive',
      any: 0,
      priority: 0,
      requestId: '',
      labels: {},
    });
  });

  test('Acquire at all of its limits', () => {
    const resources = names(63).concat('azAZ09._:/@+-'.padEnd(256, 'x'));
    const more = {
      resources,
      owner: '\u{1f512}'.repeat(128),
      ttl: seconds(60),
      wait: seconds(315_576_000_000),
      mode: 'MODE_EXCLUSIVE',
      priority: 9,
      request_id: LONG(128),
      labels: { ...labels(15), [LONG(64)]: LONG(256) },
    };
    expect(acquire(more)).toMatchObject({ resources, ttlMs: 60_000, priority: 9, labels: more.labels });
  });

  test.each([
    ['MODE_UNSPECIFIED', 'exclusive'],
    ['MODE_EXCLUSIVE', 'exclusive'],
    ['MODE_SHARED', 'shared'],
  ])('%s asks for %s', (mode, asked) => {
    expect(acquire({ mode })).toMatchObject({ mode: asked });
  });

  test('any of fewer than all is kept, any of all is all', () => {
    expect(acquire({ any: 1 })).toMatchObject({ any: 1 });
    expect(acquire({ any: 2 })).toMatchObject({ any: 0 });
    expect(acquire({ resources: ['gpu/0'], any: 1 })).toMatchObject({ any: 0 });
  });

  test('a label named like a property of every object is an ordinary label', () => {
    const odd = Object.fromEntries([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
    const answer = acquire({ labels: odd }) as { labels: Record<string, string> };
    expect(Object.entries(answer.labels).sort()).toEqual(Object.entries(odd).sort());
  });

  test('a ttl is kept in whole milliseconds, a wait never vanishes', () => {
    expect(acquire({ ttl: seconds(0, 100_999_999), wait: seconds(0, 1) })).toMatchObject({
      ttlMs: 100,
      waitMs: 1,
    });
    expect(acquire({ wait: seconds(0) })).toMatchObject({ waitMs: 0 });
  });

  test('Heartbeat without a ttl leaves it to the lease', () => {
    expect(heartbeat({})).not.toHaveProperty('ttlMs');
    expect(heartbeat({ ttl: seconds(0, 100_000_000), progress: LONG(1024) })).toMatchObject({
      ttlMs: 100,
      progress: LONG(1024),
      lease: { token: 7n, resources: ['gpu/0'] },
    });
  });

  test('Release, Inspect, CheckToken and ForceRelease at their limits', () => {
    expect(release({ reason: LONG(512) })).toMatchObject({ reason: LONG(512), lease: { token: 7n } });
    expect(inspect({ history_limit: 1000 })).toEqual({ resource: 'gpu/0', historyLimit: 1000 });
    expect(checkToken({ fencing_token: '18446744073709551615' })).toEqual({
      resource: 'gpu/0',
      token: 18446744073709551615n,
    });
    expect(force({ lease_ref: 'abcDEF012345_-xy', reason: 'x' })).toEqual({
      resource: 'gpu/0',
      leaseRef: 'abcDEF012345_-xy',
      reason: 'x',
    });
    expect(force({})).toMatchObject({ leaseRef: '' });
  });

  test('List with its defaults and at its limits', () => {
    expect(list({})).toEqual({ prefix: '', owner: '', pageSize: 100, after: '' });
    expect(list({ prefix: LONG(256), page_size: 1000 })).toMatchObject({ pageSize: 1000 });
  });
});

describe('Watch', () => {
  test('without a word is about everything', () => {
    expect(watch({})).toEqual({ resources: [], prefix: '' });
  });

  test('at its limits passes', () => {
    const resources = names(63).concat(LONG(256));
    expect(watch({ resources, prefix: LONG(256) })).toEqual({ resources, prefix: LONG(256) });
  });
});

describe('a page token', () => {
  const token = pageTokenAfter('gpu/7', 'gpu/', 'w1');

  test('goes on after its name', () => {
    expect(list({ prefix: 'gpu/', owner: 'w1', page_token: token })).toMatchObject({ after: 'gpu/7' });
    const longest = LONG(256);
    expect(list({ page_token: pageTokenAfter(longest, '', '') })).toMatchObject({ after: longest });
  });

  test('does not show the name at a glance', () => {
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(token).not.toContain('gpu');
  });

  const forged = (text: string): string => Buffer.from(text, 'latin1').toString('base64url');
  test.each([
    ['another prefix', 'gp', 'w1', token],
    ['another owner', 'gpu/', 'w2', token],
    ['one character cut', 'gpu/', 'w1', token.slice(0, -1)],
    ['padding', 'gpu/', 'w1', `${token}=`],
    ['blanks that base64 skips', 'gpu/', 'w1', ` ${token}`],
    ['nonsense', 'gpu/', 'w1', 'nonsense'],
    ['another version', 'gpu/', 'w1', forged(`2.${crc32('gpu/\nw1\ngpu/7').toString(36)}.gpu/7`)],
    ['a name that is none', '', '', forged(`1.${crc32('\n\na b').toString(36)}.a b`)],
  ])('is refused with %s', (_what, prefix, owner, page_token) => {
    expect(fieldsOf(list({ prefix, owner, page_token }))).toEqual(['page_token']);
  });
});
