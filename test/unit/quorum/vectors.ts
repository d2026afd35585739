/** Vote vectors in compact notation, one character a node, and all of them for a given number of nodes. */
import type { Answer, NodeHolder } from '../../../src/nodes/node.ts';
import type { Answers, Reply } from '../../../src/quorum/ballot.ts';

export function holderNamed(leaseRef: string, more: Partial<NodeHolder> = {}): NodeHolder {
  return {
    resource: 'r',
    leaseRef,
    token: 7n,
    owner: `owner of ${leaseRef}`,
    remainingMs: 1000,
    card: '{}',
    binding: 0,
    progress: '',
    ...more,
  };
}

export const LOW = 100n;
export const HIGH = 200n;
export const BEHIND_MICROS = 50;

const holderA = holderNamed('A');
const holderB = holderNamed('B', { resource: 'q' });

/** What each character says. */
export const letters = {
  '.': undefined,
  '-': { kind: 'silent', why: 'timeout', detail: '' },
  h: { kind: 'held' },
  d: { kind: 'dup' },
  A: { kind: 'conflict', holders: [holderA] },
  B: { kind: 'conflict', holders: [holderB] },
  /** A gang that meets A at one resource and B at another. */
  C: { kind: 'conflict', holders: [holderA, holderB] },
  s: { kind: 'stale', fence: LOW },
  S: { kind: 'stale', fence: HIGH },
  a: { kind: 'ahead', nowMicros: BEHIND_MICROS },
  V: { kind: 'replay', value: 'V', holder: holderNamed('V') },
  W: { kind: 'replay', value: 'W', holder: holderNamed('W') },
  E: { kind: 'ended', value: 'V', why: 'released' },
  F: { kind: 'ended', value: 'V', why: 'forced' },
  m: { kind: 'mismatch' },
  k: { kind: 'skipped' },
} as const satisfies Record<string, Reply | undefined>;

export type Letter = keyof typeof letters;

export function answersOf(notation: string): Answers {
  return [...notation].map((letter) => letters[letter as Letter]);
}

/** One node's answer; silence and skipping included, pending not. */
export function answerOf(letter: string): Answer {
  const answer = letters[letter as Letter];
  if (answer === undefined || answer.kind === 'skipped') throw new Error(`${letter} is no answer`);
  return answer;
}

/** Every word of `nodes` characters over `alphabet`. */
export function* words(alphabet: string, nodes: number): Generator<string> {
  if (nodes === 0) {
    yield '';
    return;
  }
  for (const rest of words(alphabet, nodes - 1)) {
    for (const letter of alphabet) yield rest + letter;
  }
}

/** How many characters of `word` are among `some`. */
export function count(word: string, some: string): number {
  let counted = 0;
  for (const letter of word) if (some.includes(letter)) counted += 1;
  return counted;
}
