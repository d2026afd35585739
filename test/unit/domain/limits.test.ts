/** The relations between the limits: each bound leaves room for what the others allow. */
import { expect, test } from 'vitest';
import {
  driftFloorMs,
  driftRate,
  fenceAgeMicros,
  limits,
  requestMemoryMs,
  tokenLeadMicros,
  tokenSlackMicros,
} from '../../../src/domain/limits.ts';
import { refusals } from '../../../src/domain/refusals.ts';
import { maxToken, TOKEN_MAX } from '../../../src/domain/token.ts';

const HOUR_MS = 3_600_000;
/** The largest HOLDFAST_MAX_TTL that the settings admit. */
const LONGEST_TTL_MS = 24 * HOUR_MS;

test('every limit is a positive whole number', () => {
  for (const [name, limit] of Object.entries(limits)) {
    expect(Number.isSafeInteger(limit) && limit > 0, name).toBe(true);
  }
});

test('a lease id has room for the most and longest names', () => {
  const names = limits.resourcesPerRequest * (limits.resourceLength + 1) - 1;
  const packed = Math.ceil(names / 3) * 4;
  const envelope = 'hf1.'.length + 22 + 1 + 20 + 1 + 10 + 1 + 1 + 7;
  expect(limits.leaseIdLength).toBeGreaterThanOrEqual(packed + envelope);
});

test('a message has room for the largest Acquire and the largest lease id', () => {
  const labels = limits.labels * (limits.labelKeyLength + limits.labelValueLength + 16);
  const acquire =
    limits.resourcesPerRequest * (limits.resourceLength + 4) + 4 * (limits.ownerLength + labels);
  expect(limits.messageBytes).toBeGreaterThan(4 * acquire);
  expect(limits.messageBytes).toBeGreaterThan(limits.leaseIdLength + 4 * limits.progressLength);
});

test('pages and histories fit what one node answers in one script', () => {
  expect(limits.pageSizeDefault).toBeLessThanOrEqual(limits.pageSizeMax);
  expect(limits.historyPerResource).toBeLessThanOrEqual(limits.historyMax);
});

test('a full queue is sent in whole batches', () => {
  expect(limits.operationsInFlight % limits.operationsPerBatch).toBe(0);
  // The head of a batch counts its operations in 16 bits.
  expect(limits.operationsPerBatch).toBeLessThanOrEqual(0xffff);
});

test('a token passes a fence by slack long before it passes a clock by lead', () => {
  expect(tokenSlackMicros).toBeGreaterThan(1);
  expect(tokenSlackMicros).toBeLessThan(tokenLeadMicros);
});

test('tokens of the next two centuries are exact in a double, as the scripts compare them', () => {
  const year2225 = BigInt(Date.UTC(2225, 0)) * 1000n;
  expect(year2225).toBeLessThan(BigInt(Number.MAX_SAFE_INTEGER));
  expect(maxToken(year2225, TOKEN_MAX)).toBe(TOKEN_MAX);
  expect(maxToken(TOKEN_MAX, year2225)).toBe(TOKEN_MAX);
});

test('drift is a small part of the shortest useful ttl', () => {
  expect(driftRate).toBeGreaterThan(0);
  expect(driftRate * 100 + driftFloorMs).toBeLessThan(10);
});

test('a fence outlives every lease and every memory of a request', () => {
  expect(fenceAgeMicros).toBeGreaterThanOrEqual(LONGEST_TTL_MS * 1000);
  expect(fenceAgeMicros).toBeGreaterThan(requestMemoryMs * 1000);
});

test('every refusal has a situation in words, and reasons are upper case names', () => {
  for (const [reason, { situation }] of Object.entries(refusals)) {
    expect(reason).toMatch(/^[A-Z][A-Z_]*[A-Z]$/);
    expect(situation.length, reason).toBeGreaterThan(10);
  }
});
