/** The orders of events that must not matter: each of them forced by a service that follows the test. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../../../test/harness/until.ts';
import { Holdfast, LeaseLostError } from '../../src/index.ts';
import { leaseOf, Scripted } from './scripted.ts';

let service: Scripted;
let hf: Holdfast;
beforeEach(async () => {
  service = await Scripted.start();
  hf = new Holdfast({ address: service.address, owner: 'me' });
});
afterEach(async () => {
  const closing = hf.close();
  service.stop();
  await closing;
});

test('a grant that crosses with the abort of its caller is given back', async () => {
  const controller = new AbortController();
  const waits = hf.hold('x', { signal: controller.signal });
  const call = await service.call(0);
  const { seq } = await call.op('acquire');
  controller.abort(new Error('enough'));
  await expect(waits).rejects.toThrow('enough');
  expect((await call.op('cancel')).cancel?.seq).toBe(seq);
  call.grant(seq);
  expect((await call.op('cancel')).cancel?.seq).toBe(seq);
  expect(call.ops).toEqual([]);
});

test('a lease whose count has ended is given back by its operation, never by its id', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  const { seq } = await call.op('acquire');
  // Long enough that the count, which runs from before the question, cannot be over when the grant arrives.
  call.grant(seq, { ttl: { seconds: 3 } });
  const lease = await asked;
  await until('its count has ended', () => lease.remainingMs === 0);
  expect((await call.op('cancel')).cancel?.seq).toBe(seq);
  expect(await lease.release()).toBe(false);
  await hf.close();
  await until('all was said', () => call.halfClosed);
  expect(call.ops.filter(({ release }) => release !== undefined)).toEqual([]);
});

test('a loss in the very message of the grant is seen before the caller can rely on it', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  const { seq } = await call.op('acquire');
  const lost = { reason: 3, lease_ref: 'ref', detail: 'by force' };
  call.say({
    results: [{ seq, acquire: { lease: leaseOf() } }],
    events: [{ seq, lease_id: 'secret', lost }],
  });
  const lease = await asked;
  expect(lease.lost).toEqual({ reason: 'forced', detail: 'by force' });
  expect(lease.signal.aborted).toBe(true);
  expect(await lease.release()).toBe(false);
});

test('a replay is confirmed before its caller gets it, and counts from the confirmation', async () => {
  const asked = hf.hold('x');
  let done = false;
  void asked.then(() => (done = true));
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq, { replayed: true });
  const { seq, resume } = await call.op('resume');
  expect(resume?.lease_id).toBe('secret');
  expect(done).toBe(false);
  // Of the claim that the resume takes over: no news.
  call.say({ events: [{ seq: 1, lease_id: 'secret', lost: { reason: 4 } }] });
  call.say({ results: [{ seq, resume: leaseOf({ expire_time: { seconds: 5000 } }) }] });
  const lease = await asked;
  expect(lease.lost).toBeUndefined();
  expect(lease.remainingMs).toBeGreaterThan(20_000);
  // Times of the new anchor count, not of the old one.
  const before = lease.remainingMs;
  call.say({ events: [{ seq, lease_id: 'secret', renewed: leaseOf({ expire_time: { seconds: 5010 } }) }] });
  await until('it is credited', () => lease.remainingMs > before + 9000);
  expect(lease.remainingMs).toBeLessThan(before + 9901);
});

test('a confirmation that finds the lease gone asks anew, with another request_id', async () => {
  const asked = hf.hold('x');
  const call = await service.call(0);
  const first = await call.op('acquire');
  call.grant(first.seq, { replayed: true });
  const { seq } = await call.op('resume');
  const error = { code: 9, reason: 'LEASE_LOST', message: 'gone', metadata: { why: 'expired' } };
  call.say({ results: [{ seq, error }] });
  const second = await call.op('acquire');
  expect(second.acquire?.request_id).not.toBe('');
  expect(second.acquire?.request_id).not.toBe(first.acquire?.request_id);
  call.grant(second.seq, { fencing_token: 8 });
  expect((await asked).token).toBe(8n);
});

test('after four ttls of renewals it is anchored anew, and goes on meanwhile', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  const { seq } = await call.op('acquire');
  call.grant(seq);
  const lease = await asked;
  const renewed = leaseOf({ expire_time: { seconds: 1030 + 121 } });
  call.say({ events: [{ seq, lease_id: 'secret', renewed }] });
  const again = await call.op('resume');
  expect(lease.remainingMs).toBeGreaterThan(100_000);
  call.say({ results: [{ seq: again.seq, resume: leaseOf({ expire_time: { seconds: 9 } }) }] });
  // Its old name is forgotten, and the new one heard.
  call.say({ events: [{ seq, lost: { reason: 1 } }] });
  call.say({ events: [{ seq: again.seq, lost: { reason: 3 } }] });
  await until('it is lost', () => lease.lost !== undefined);
  expect(lease.lost?.reason).toBe('forced');
});

test('a lease that the other replica does not know any more is lost, by what that one says', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq);
  const lease = await asked;
  const { signal } = lease;
  call.end();
  const next = await service.call(1);
  const { seq } = await next.op('resume');
  expect(next.graces).toEqual([1000]);
  expect(lease.lost).toBeUndefined();
  expect(lease.remainingMs).toBeLessThanOrEqual(988);
  const error = { code: 9, reason: 'LEASE_LOST', message: 'gone', metadata: { why: 'forced' } };
  next.say({ results: [{ seq, error }] });
  await until('it is lost', () => signal.aborted);
  expect(lease.lost?.reason).toBe('forced');
});

test('drained, a lease keeps its whole count, and the old stream is closed once all has moved', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq);
  const lease = await asked;
  const waits = hf.hold('y');
  const { seq, acquire } = await call.op('acquire');
  call.say({ events: [{ draining: { remaining: { seconds: 10 } } }] });
  const next = await service.call(1);
  const { seq: resumed } = await next.op('resume');
  expect(lease.remainingMs).toBeGreaterThan(20_000);
  expect(call.halfClosed).toBe(false);
  next.say({ results: [{ seq: resumed, resume: leaseOf() }] });
  call.say({ results: [{ seq, error: { code: 14, reason: 'DRAINING', message: 'draining' } }] });
  // The same request finds its place in line.
  const again = await next.op('acquire');
  expect(again.acquire?.request_id).toBe(acquire?.request_id);
  await until('the old stream is closed', () => call.halfClosed);
  next.grant(again.seq, { lease_id: 'another', lease_ref: 'ref2' });
  await waits;
  expect(lease.lost).toBeUndefined();
  expect(lease.remainingMs).toBeGreaterThan(20_000);
});

test('a draining replica still takes releases while no other one can be reached', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq);
  const lease = await asked;
  service.refuses = true;
  call.say({ events: [{ draining: {} }] });
  const released = lease.release();
  const { seq } = await call.op('release');
  call.say({ results: [{ seq, release: { released: true } }] });
  expect(await released).toBe(true);
});

test('a release that was carried twice may not know who ended the lease, and a scope does not complain', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq);
  const lease = await asked;
  const ended = lease[Symbol.asyncDispose]();
  await call.op('release');
  call.end();
  const next = await service.call(1);
  const { seq } = await next.op('release');
  next.say({ results: [{ seq, release: { released: false } }] });
  await expect(ended).resolves.toBeUndefined();
});

test('a scope whose lease the service had ended before is told so', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  call.grant((await call.op('acquire')).seq);
  const ended = (await asked)[Symbol.asyncDispose]();
  const { seq } = await call.op('release');
  call.say({ results: [{ seq, release: { released: false } }] });
  await expect(ended).rejects.toThrow(LeaseLostError);
});

test('no seq is used twice on a stream, and a thousand acquires of one turn are one message', async () => {
  const asked = Promise.all(Array.from({ length: 1000 }, (_, at) => hf.acquire(`x/${at}`)));
  const call = await service.call(0);
  await until('all are asked', () => call.ops.length === 1000);
  expect(new Set(call.ops.map(({ seq }) => seq)).size).toBe(1000);
  expect(call.graces).toEqual([1000]);
  call.say({
    results: call.ops.map(({ seq }) => ({ seq, acquire: { lease: leaseOf({ fencing_token: seq }) } })),
  });
  expect((await asked).map(({ token }) => token)).toEqual(call.ops.map(({ seq }) => BigInt(seq)));
});

test('a refusal of the stream itself fails what was asked, with its error', async () => {
  const asked = hf.acquire('x');
  const call = await service.call(0);
  await call.op('acquire');
  call.end(7, 'not for you');
  await expect(asked).rejects.toMatchObject({ code: 7, message: 'not for you' });
});
