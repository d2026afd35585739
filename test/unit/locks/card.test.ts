/** The card: nothing usual is written, and what is read is what was meant. */
import { expect, test } from 'vitest';
import { readCard, viewOf, writeCard } from '../../../src/locks/card.ts';
import type { NodeHolder } from '../../../src/nodes/node.ts';
import { asking } from '../../harness/asking.ts';

const TOKEN = 1_800_000_000_123_456n;
const PROPOSED_MS = 1_800_000_000_123.456;

function holder(card: string, resource = 'r'): NodeHolder {
  return {
    resource,
    leaseRef: 'ref',
    token: TOKEN,
    owner: 'w1',
    remainingMs: 1,
    card,
    binding: 0,
    progress: '',
  };
}

test('of the usual lease only the ttl is written; its token tells when it was asked for', () => {
  const card = writeCard(asking({ ttlMs: 5000 }), ['r'], PROPOSED_MS, TOKEN);
  expect(card).toBe('{"t":5000}');
  expect(readCard(holder(card))).toEqual({
    resources: ['r'],
    mode: 'exclusive',
    ttlMs: 5000,
    acquireTimeMs: 1_800_000_000_123,
    labels: {},
    priority: 0,
    traceparent: '',
    principal: '',
  });
});

test.each([
  ['a second before', PROPOSED_MS - 1000],
  ['a second after', PROPOSED_MS + 1000],
  ['a millisecond before', PROPOSED_MS - 1],
])('a token that was moved from the time of the request, here %s, does not tell it', (_, acquireTimeMs) => {
  const card = writeCard(asking(), ['r'], acquireTimeMs, TOKEN);
  expect(readCard(holder(card)).acquireTimeMs).toBe(Math.round(acquireTimeMs));
});

test.each([
  { resources: ['a', 'b'] },
  { mode: 'shared' },
  { labels: { 'job"': 'é☃' } },
  { priority: 9 },
  { resources: ['a', 'b'], mode: 'shared', priority: 3, labels: { a: '', b: '2' } },
] as const)('what is unusual is written: %o', (changes) => {
  const ask = asking(changes);
  const card = writeCard(ask, ask.resources, PROPOSED_MS, TOKEN);
  expect(readCard(holder(card, ask.resources[0]))).toEqual({
    resources: ask.resources,
    mode: ask.mode,
    ttlMs: ask.ttlMs,
    acquireTimeMs: 1_800_000_000_123,
    labels: ask.labels,
    priority: ask.priority,
    traceparent: '',
    principal: '',
  });
});

test('the identity of an authenticated holder is written, and shown to the service alone', () => {
  const card = writeCard(asking(), ['r'], PROPOSED_MS, TOKEN, { principal: 'train"er' });
  expect(readCard(holder(card)).principal).toBe('train"er');
  expect(viewOf(holder(card), 0).principal).toBe('train"er');
  expect(viewOf(holder('{"t":5000}'), 0)).not.toHaveProperty('principal');
});
