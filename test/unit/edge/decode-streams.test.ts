/** What a Hold and the operations of a session ask for, and which field a bad one breaks. */
import { describe, expect, test } from 'vitest';
import { formatLeaseId } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import { decodeAcquire, decodeCheckToken, decodeHeartbeat, decodeHold } from '../../../src/edge/decode.ts';
import { within } from '../../../src/edge/fields.ts';
import type { SessionOp } from '../../../src/edge/gen/holdfast/v1/SessionOp.ts';
import type { SessionRequest__Output } from '../../../src/edge/gen/holdfast/v1/SessionRequest.ts';
import { loadContract, type UnreadRequest } from '../../../src/edge/protos.ts';
import { seqOf } from '../../../src/edge/seq-set.ts';
import { settings } from './fake-locks.ts';

const { locks } = loadContract();
const id = formatLeaseId({ secret: 'A'.repeat(22), token: 7n, ttlMs: 30_000, resources: ['gpu/0'] });
const acquire = { resources: ['gpu/0'], owner: 'w1' };

const hold = (request: object) =>
  decodeHold(locks.Hold.requestDeserialize(locks.Hold.requestSerialize(request)), settings);

const fieldsOf = (answer: object): string[] => {
  expect(answer).toMatchObject({ kind: 'refusal', reason: 'INVALID_FIELD' });
  return (answer as Refusal).fields.map(({ field }) => field);
};

describe('a Hold', () => {
  test('asks for a lease, and waits without end where it says nothing of a wait', () => {
    expect(hold({ acquire })).toMatchObject({
      acquire: { resources: ['gpu/0'], owner: 'w1', ttlMs: 30_000, waitMs: Infinity },
      resume: undefined,
      graceMs: 0,
    });
    expect(hold({ acquire: { ...acquire, wait: {} } })).toMatchObject({ acquire: { waitMs: 0 } });
    expect(hold({ acquire: { ...acquire, wait: { nanos: 1 } } })).toMatchObject({ acquire: { waitMs: 1 } });
  });

  test('or for one to take over', () => {
    expect(hold({ resume_lease_id: id })).toMatchObject({
      acquire: undefined,
      resume: { value: `${'A'.repeat(22)}|7`, resources: ['gpu/0'] },
    });
  });

  test.each([
    ['neither', {}, ['acquire']],
    ['both', { acquire, resume_lease_id: id }, ['acquire']],
    ['an id that does not parse', { resume_lease_id: `${id}x` }, ['resume_lease_id']],
    [
      'bad fields of the acquire',
      { acquire: { ttl: { seconds: 61 } } },
      ['acquire.resources', 'acquire.owner', 'acquire.ttl'],
    ],
    [
      'a bad acquire and a bad grace',
      { acquire: { ...acquire, owner: '' }, grace: { seconds: 61 } },
      ['acquire.owner', 'grace'],
    ],
    ['neither and a bad grace', { grace: { nanos: -1 } }, ['acquire', 'grace']],
  ])('with %s is refused', (_, request, fields) => {
    expect(fieldsOf(hold(request))).toEqual(fields);
  });

  test('has a grace from none to the longest ttl, to the nanosecond', () => {
    const graceOf = (grace: object) => hold({ acquire, grace });
    expect(graceOf({})).toMatchObject({ graceMs: 0 });
    expect(graceOf({ nanos: 1 })).toMatchObject({ graceMs: 1 });
    expect(graceOf({ seconds: 60 })).toMatchObject({ graceMs: 60_000 });
    for (const bad of [
      { seconds: 60, nanos: 1 },
      { seconds: -1 },
      { nanos: -1 },
      { seconds: 1, nanos: -1 },
    ]) {
      expect(fieldsOf(graceOf(bad))).toEqual(['grace']);
    }
  });

  test('never repeats the id of its lease', () => {
    expect(JSON.stringify(hold({ resume_lease_id: `${id}x` }))).not.toContain('AAAA');
  });
});

describe('a session', () => {
  const read = (...ops: SessionOp[]): SessionRequest__Output => {
    const { Session } = locks;
    const unread = Session.requestDeserialize(Session.requestSerialize({ ops }));
    return (unread as unknown as UnreadRequest).read()!;
  };
  const viaLoader = (request: object) =>
    decodeAcquire(locks.Acquire.requestDeserialize(locks.Acquire.requestSerialize(request)), settings);

  test.each([
    {},
    { ttl: { seconds: 1, nanos: 500_000_000 }, wait: { seconds: 3 } },
    { ttl: { seconds: '9007199254740993' } },
    { wait: { seconds: -1 }, any: 2, priority: 12 },
    { mode: 'MODE_SHARED' as const },
    { mode: 'MODE_EXCLUSIVE' as const },
    { mode: 7 as never },
    { resources: ['a', 'b', 'a'], any: 1 },
    { resources: [], owner: '' },
    { labels: { team: 'vision', '': 'x' }, request_id: 'r', priority: 9 },
  ])('understands an acquire as Acquire does: %j', (more) => {
    const request = { ...acquire, ...more };
    const [op] = read({ seq: 1, acquire: request }).ops;
    const ask = decodeAcquire(op!.acquire!, settings);
    expect(JSON.stringify(ask)).toBe(JSON.stringify(viaLoader(request)));
  });

  test('keeps numbers of 64 bits exact', () => {
    const [op] = read({
      seq: '18446744073709551615',
      check_token: { resource: 'r', fencing_token: '9007199254740993' },
    }).ops;
    expect(seqOf(op!.seq)).toBe(18_446_744_073_709_551_615n);
    expect(decodeCheckToken(op!.check_token!)).toMatchObject({ token: 9_007_199_254_740_993n });
    const [none] = read({ check_token: { resource: 'r' } }).ops;
    expect(seqOf(none!.seq)).toBe(0);
    expect(fieldsOf(decodeCheckToken(none!.check_token!))).toEqual(['fencing_token']);
  });

  test('understands a heartbeat as Heartbeat does', () => {
    const [op] = read({ seq: 1, heartbeat: { lease_id: id, ttl: { seconds: 5 }, progress: 'half' } }).ops;
    expect(decodeHeartbeat(op!.heartbeat!, settings)).toMatchObject({
      lease: { token: 7n },
      ttlMs: 5000,
      progress: 'half',
    });
    const [plain] = read({ seq: 1, heartbeat: { lease_id: id } }).ops;
    expect(decodeHeartbeat(plain!.heartbeat!, settings)).not.toHaveProperty('ttlMs');
  });
});

test('a refusal without fields has no path', () => {
  const refusal: Refusal = { kind: 'refusal', reason: 'NO_QUORUM', message: 'm', metadata: {}, fields: [] };
  expect(within('acquire', refusal)).toBe(refusal);
});
