/** Which values are leftovers: every combination of what three and five nodes may answer, and the rule for each by itself. */
import { describe, expect, test } from 'vitest';
import { leftoversIn, unforgottenIn } from '../../../src/locks/remains.ts';
import type { Look } from '../../../src/locks/views.ts';
import type { NodeEvent, NodeEventType, NodeHolder, NodeView } from '../../../src/nodes/node.ts';
import { majorityOf } from '../../../src/quorum/ballot.ts';

const TTL_MS = 60_000;
const AGE_MS = 5000;
const TOKEN = 1000n;

function holderOf(leaseRef: string, token: bigint, ageMs: number): NodeHolder {
  const card = JSON.stringify({ t: TTL_MS });
  const plain = { resource: 'r', owner: 'o', card, binding: 0, progress: '' };
  return { ...plain, leaseRef, token, remainingMs: TTL_MS - ageMs };
}

function event(type: NodeEventType, leaseRef = 'it'): NodeEvent {
  return { type, timeMicros: 1, token: TOKEN, leaseRef, owner: 'o', reason: '' };
}

function view(holder: NodeHolder | undefined, ...history: NodeEvent[]): NodeView {
  return { resource: 'r', ...(holder && { holder }), history };
}

const it = holderOf('it', TOKEN, AGE_MS);

/** What one node may show of `it`. */
const ANSWERS: Readonly<Record<string, Look>> = {
  holds: view(it, event('held')),
  renewed: view(it, event('renewed'), event('held')),
  young: view(holderOf('it', TOKEN, AGE_MS - 1), event('held')),
  never: null,
  undone: view(undefined, event('undone'), event('held')),
  released: view(undefined, event('released'), event('held')),
  forced: view(undefined, event('forced'), event('held')),
  expired: view(undefined, event('expired'), event('held')),
  elder: view(holderOf('other', TOKEN - 1n, AGE_MS)),
  later: view(holderOf('other', TOKEN + 1n, AGE_MS)),
  silent: undefined,
};
const WORDS = Object.keys(ANSWERS);
/** Of five nodes there are a hundred thousand otherwise; these two are told from others only by what it is called. */
const FEWER = WORDS.filter((word) => word !== 'forced' && word !== 'later');

function* vectors(size: number, words = size > 3 ? FEWER : WORDS): Generator<readonly string[]> {
  if (size === 0) yield [];
  else for (const rest of vectors(size - 1, words)) for (const word of words) yield [word, ...rest];
}

const judged = (words: readonly string[]) =>
  leftoversIn(
    words.map((word) => ANSWERS[word]),
    majorityOf(words.length),
    AGE_MS,
  ).filter(({ holder }) => holder.leaseRef === 'it');

const HELD = ['holds', 'renewed', 'young'];

describe.each([3, 5])('of %i nodes', (size) => {
  test('what a majority may hold, whoever is silent counting as for it, is never a leftover', () => {
    let touched = 0;
    for (const words of vectors(size)) {
      const found = judged(words);
      if (found.length === 0) continue;
      touched += 1;
      const mayHold = words.filter((word) => [...HELD, 'silent'].includes(word)).length;
      expect(mayHold, words.join(' ')).toBeLessThan(majorityOf(size));
      expect(words, 'too young').not.toContain('young');
      expect(words, 'in the way of an older lease').not.toContain('elder');
      const [{ heldAt, freeAt }] = found as [(typeof found)[number]];
      expect(heldAt).toEqual(words.flatMap((word, at) => (HELD.includes(word) ? [at] : [])));
      expect(freeAt.length, 'enough to bar it').toBeGreaterThanOrEqual(majorityOf(size));
    }
    expect(touched).toBeGreaterThan(0);
  });

  test('what was granted once, and ended by nobody, is left to its time', () => {
    for (const words of vectors(size)) {
      const ended = words.some((word) => ['undone', 'released', 'forced'].includes(word));
      const granted = words.includes('renewed') || words.includes('expired');
      if (granted && !ended) expect(judged(words), words.join(' ')).toEqual([]);
    }
  });
});

test.each([
  [['holds', 'never', 'never'], 'undone'],
  [['holds', 'undone', 'undone'], 'undone'],
  [['holds', 'undone', 'later'], 'undone'],
  [['released', 'released', 'renewed'], 'released'],
  [['forced', 'released', 'holds'], 'forced'],
])('%j is told as %s', (words, why) => {
  expect(judged(words)).toMatchObject([{ why, ageMs: AGE_MS }]);
});

test.each([
  [['holds', 'holds', 'never']],
  [['holds', 'silent', 'never']],
  [['renewed', 'undone', 'undone']],
  [['young', 'never', 'never']],
  [['holds', 'elder', 'elder']],
])('%j is none', (words) => {
  expect(judged(words)).toEqual([]);
});

describe('a lease that is over without a word', () => {
  test('is one whose last event says held, while nobody holds it', () => {
    expect(unforgottenIn(view(undefined, event('held')))).toEqual([event('held')]);
    expect(unforgottenIn(view(undefined, event('renewed'), event('held')))).toEqual([event('renewed')]);
    expect(unforgottenIn(ANSWERS.holds)).toEqual([]);
    expect(unforgottenIn(ANSWERS.expired)).toEqual([]);
    expect([unforgottenIn(null), unforgottenIn(undefined)]).toEqual([[], []]);
  });
});
