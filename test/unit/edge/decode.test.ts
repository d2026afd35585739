/** Every field of every request, broken in every way, is refused by its name. */
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
import type { AcquireRequest__Output } from '../../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
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
const INVALID_UTF8 = '\ufffd';
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `gpu/${at}`);
const labels = (count: number): Record<string, string> =>
  Object.fromEntries(names(count).map((name) => [name, 'x']));

type Decode = (more: object) => object;
type Case = [what: string, decode: Decode, more: object, fields: string[]];

const badText = (decode: Decode, field: string, max: number, required: boolean): Case[] => [
  ...(required ? [[`empty ${field}`, decode, { [field]: '' }, [field]] as Case] : []),
  [`${field} too long`, decode, { [field]: LONG(max + 1) }, [field]],
  [`${field} of a megabyte`, decode, { [field]: LONG(1_000_000) }, [field]],
  [`${field} that was invalid UTF-8`, decode, { [field]: `a${INVALID_UTF8}` }, [field]],
  [`${field} with a line feed`, decode, { [field]: 'a\nb' }, [field]],
  [`${field} with a NUL`, decode, { [field]: 'a\0b' }, [field]],
  [`${field} with DEL`, decode, { [field]: 'a\x7fb' }, [field]],
];

const badName = (decode: Decode, field: string, required: boolean): Case[] => [
  ...badText(decode, field, 256, required),
  [`${field} with a blank`, decode, { [field]: 'a b' }, [field]],
  [`${field} with an umlaut`, decode, { [field]: 'ä' }, [field]],
];

const badSpan = (decode: Decode, field: string): Case[] => [
  [`${field} negative`, decode, { [field]: seconds(-1) }, [field]],
  [`${field} negative by nanos`, decode, { [field]: seconds(0, -1_000_000) }, [field]],
  [`${field} with nanos of a second`, decode, { [field]: seconds(1, 1_000_000_000) }, [field]],
  [`${field} with nanos below minus a second`, decode, { [field]: seconds(-1, -1_000_000_000) }, [field]],
  [`${field} of mixed signs`, decode, { [field]: seconds(1, -1) }, [field]],
  [`${field} of other mixed signs`, decode, { [field]: seconds(-1, 1) }, [field]],
  [`${field} beyond 10,000 years`, decode, { [field]: seconds('315576000001') }, [field]],
  [`${field} as long as an int64`, decode, { [field]: seconds('9223372036854775807') }, [field]],
  [`${field} as negative as an int64`, decode, { [field]: seconds('-9223372036854775808') }, [field]],
];

const badTtl = (decode: Decode): Case[] => [
  ...badSpan(decode, 'ttl'),
  ['ttl zero', decode, { ttl: seconds(0) }, ['ttl']],
  ['ttl a nanosecond below the least', decode, { ttl: seconds(0, 99_999_999) }, ['ttl']],
  ['ttl a nanosecond above the most', decode, { ttl: seconds(60, 1) }, ['ttl']],
];

const badLeaseId = (decode: Decode): Case[] => [
  ['empty lease_id', decode, { lease_id: '' }, ['lease_id']],
  ['lease_id cut', decode, { lease_id: id.slice(0, -1) }, ['lease_id']],
  ['lease_id mistyped', decode, { lease_id: id.replace('A', 'B') }, ['lease_id']],
  ['lease_id of another kind', decode, { lease_id: 'etcd-7587848' }, ['lease_id']],
  ['lease_id that was invalid UTF-8', decode, { lease_id: `${id}${INVALID_UTF8}` }, ['lease_id']],
  ['lease_id of a megabyte', decode, { lease_id: LONG(1_000_000) }, ['lease_id']],
];

const cases: Case[] = [
  ['no resource', acquire, { resources: [] }, ['resources']],
  ['65 resources', acquire, { resources: names(65) }, ['resources']],
  ['100,000 resources', acquire, { resources: new Array(100_000).fill('') }, ['resources']],
  ['one empty resource', acquire, { resources: [''] }, ['resources[0]']],
  ['a resource too long', acquire, { resources: ['a', LONG(257)] }, ['resources[1]']],
  ['a resource with a blank', acquire, { resources: ['a', 'b', 'c d'] }, ['resources[2]']],
  ['a resource that was invalid UTF-8', acquire, { resources: [INVALID_UTF8] }, ['resources[0]']],
  ['a resource twice', acquire, { resources: ['a', 'b', 'a'] }, ['resources[2]']],
  ['a resource three times', acquire, { resources: ['a', 'a', 'a'] }, ['resources[1]', 'resources[2]']],
  ...badText(acquire, 'owner', 256, true),
  ...badTtl(acquire),
  ...badSpan(acquire, 'wait'),
  ['any above the number of resources', acquire, { any: 3 }, ['any']],
  ['any huge', acquire, { any: 4_294_967_295 }, ['any']],
  ['priority 10', acquire, { priority: 10 }, ['priority']],
  ['priority huge', acquire, { priority: 4_294_967_295 }, ['priority']],
  ...badText(acquire, 'request_id', 128, false),
  ['17 labels', acquire, { labels: labels(17) }, ['labels']],
  ['10,000 labels', acquire, { labels: labels(10_000) }, ['labels']],
  ['an empty label key', acquire, { labels: { '': 'x' } }, ['labels[""]']],
  ['a label key too long', acquire, { labels: { [LONG(65)]: 'x' } }, [`labels["${LONG(64)}"]`]],
  ['a label value too long', acquire, { labels: { team: LONG(257) } }, ['labels["team"]']],
  ['a label value that was invalid UTF-8', acquire, { labels: { team: INVALID_UTF8 } }, ['labels["team"]']],
  ['a label key with a quote and a tab', acquire, { labels: { 'a"\t': 'x' } }, ['labels["a\\"\\t"]']],

  ...badLeaseId(heartbeat),
  ...badTtl(heartbeat),
  ...badText(heartbeat, 'progress', 1024, false),
  ...badLeaseId(release),
  ...badText(release, 'reason', 512, false),

  ...badName(inspect, 'resource', true),
  ['history_limit 1001', inspect, { history_limit: 1001 }, ['history_limit']],
  ['history_limit huge', inspect, { history_limit: 4_294_967_295 }, ['history_limit']],

  ...badName(list, 'prefix', false),
  ...badText(list, 'owner', 256, false),
  ['page_size 1001', list, { page_size: 1001 }, ['page_size']],
  ['page_size huge', list, { page_size: 4_294_967_295 }, ['page_size']],
  ['page_token of a megabyte', list, { page_token: LONG(1_000_000) }, ['page_token']],
  ['page_token that was invalid UTF-8', list, { page_token: INVALID_UTF8 }, ['page_token']],

  ['65 resources to watch', watch, { resources: names(65) }, ['resources']],
  ['an empty resource to watch', watch, { resources: ['a', ''] }, ['resources[1]']],
  ['a resource to watch twice', watch, { resources: ['a', 'a'] }, ['resources[1]']],
  ...badName(watch, 'prefix', false),

  ...badName(checkToken, 'resource', true),
  ['fencing_token 0', checkToken, { fencing_token: '0' }, ['fencing_token']],

  ...badName(force, 'resource', true),
  ...badText(force, 'reason', 512, true),
  ['lease_ref too short', force, { lease_ref: 'abc' }, ['lease_ref']],
  ['lease_ref too long', force, { lease_ref: LONG(17) }, ['lease_ref']],
  ['lease_ref of a megabyte', force, { lease_ref: LONG(1_000_000) }, ['lease_ref']],
  ['lease_ref with a dot', force, { lease_ref: `${LONG(15)}.` }, ['lease_ref']],
  ['a lease_id for a lease_ref', force, { lease_ref: id }, ['lease_ref']],
];

describe('a broken field is named', () => {
  test.each(cases)('%s', (_what, decode, more, fields) => {
    expect(fieldsOf(decode(more))).toEqual(fields);
  });

  test('an enum value that the contract does not know names mode', () => {
    const bytes = Buffer.concat([
      contract.locks.Acquire.requestSerialize(acquireBase),
      Buffer.from([5 << 3, 9]),
    ]);
    const request = contract.locks.Acquire.requestDeserialize(bytes) as AcquireRequest__Output;
    expect(request.mode).toBe(9);
    expect(fieldsOf(decodeAcquire(request, settings))).toEqual(['mode']);
  });

  test('an enum value below zero names mode', () => {
    const minusOne = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    const bytes = Buffer.concat([
      contract.locks.Acquire.requestSerialize(acquireBase),
      Buffer.from([5 << 3, ...minusOne]),
    ]);
    const request = contract.locks.Acquire.requestDeserialize(bytes) as AcquireRequest__Output;
    expect(fieldsOf(decodeAcquire(request, settings))).toEqual(['mode']);
  });

  test('bytes that are no UTF-8 name their field', () => {
    const bytes = Buffer.from([...[(1 << 3) | 2, 1, 0x61], ...[(2 << 3) | 2, 3, 0xed, 0xa0, 0x80]]);
    const request = contract.locks.Acquire.requestDeserialize(bytes) as AcquireRequest__Output;
    expect(fieldsOf(decodeAcquire(request, settings))).toEqual(['owner']);
  });

  test('all broken fields of one request are named in one refusal', () => {
    const answer = acquire({
      resources: ['a', 'a b'],
      owner: '',
      ttl: seconds(0),
      wait: seconds(-1),
      any: 3,
      priority: 10,
      request_id: LONG(129),
      labels: { '': LONG(257) },
    });
    const fields = fieldsOf(answer);
    const label = 'labels[""]';
    expect(fields).toEqual([
      'resources[1]',
      'owner',
      'ttl',
      'wait',
      'any',
      'priority',
      'request_id',
      label,
      label,
    ]);
  });

  test.each([
    ['heartbeat', heartbeat, { ttl: seconds(0), progress: '\0' }, ['lease_id', 'ttl', 'progress']],
    ['release', release, { reason: '\0' }, ['lease_id', 'reason']],
  ])('%s names all of its broken fields', (_what, decode, more, fields) => {
    expect(fieldsOf(decode({ lease_id: 'nonsense', ...more }))).toEqual(fields);
  });
});
