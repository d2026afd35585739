/** The vote through the redlock package: it settles for every vote vector and order of arrival, and counts right. */
import { describe, expect, test } from 'vitest';
import { silentProbe } from '../../../src/domain/probe.ts';
import type { Answer, NodeOp } from '../../../src/nodes/node.ts';
import { majorityOf } from '../../../src/quorum/ballot.ts';
import type { Ballot } from '../../../src/quorum/open-ballot.ts';
import { Majority } from '../../../src/quorum/redlock.ts';
import { SeededRandom } from '../../../src/std/random.ts';
import { StubNode, settled } from './stub-nodes.ts';
import { answerOf, count, words } from './vectors.ts';

const op: NodeOp = { kind: 'ping' };
const isFor = (answer: Answer): boolean => answer.kind === 'held' || answer.kind === 'dup';
const stubs = (nodes: number): StubNode[] =>
  Array.from({ length: nodes }, (_, index) => new StubNode(`n${index}`));

/** All orders of up to three nodes, and for more a few: as listed, reversed, and shuffles by seed. */
function orders(nodes: number): number[][] {
  const listed = Array.from({ length: nodes }, (_, index) => index);
  if (nodes === 1) return [listed];
  if (nodes === 3)
    return [...words('012', 3)]
      .filter((word) => new Set(word).size === 3)
      .map((word) => [...word].map(Number));
  const shuffles = [1, 2].map((seed) => {
    const random = new SeededRandom(seed);
    return listed.map((index) => ({ index, at: random.fraction() })).sort((a, b) => a.at - b.at);
  });
  return [listed, [...listed].reverse(), ...shuffles.map((shuffle) => shuffle.map(({ index }) => index))];
}

/** Microtasks only: a vote takes a fixed number of promise steps after the last answer. */
async function steps(turns = 30): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await undefined;
}

/** What breaks when `word` is voted in `order`; empty when nothing does. */
async function voteOnce(word: string, order: readonly number[], by: 'vote' | 'tell'): Promise<string[]> {
  const nodes = stubs(word.length);
  const majority = majorityOf(word.length);
  const broken: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) broken.push(`${word} in order ${order}: ${what}`);
  };
  let ballot: Ballot | undefined;
  let complete = false;
  void new Majority(nodes, silentProbe)[by](op, isFor).then((decided) => {
    ballot = decided;
    void decided.complete.then(() => {
      complete = true;
    });
  });
  let votes = 0;
  let against = 0;
  for (const index of order) {
    const certain = votes >= majority || against >= majority;
    must(
      (ballot !== undefined) === certain,
      `after ${votes}:${against} it is ${certain ? 'not ' : ''}decided`,
    );
    must(!complete, 'complete before the last answer');
    nodes[index]!.answer(answerOf(word[index]!));
    await steps();
    if (word[index] === 'h') votes += 1;
    else against += 1;
  }
  must(ballot !== undefined, 'never decided');
  must(ballot?.carried === votes >= majority, `carried with ${votes} of ${word.length}`);
  must(complete, 'never complete');
  must(
    nodes.every(({ asked }) => asked.length === 1),
    'a node was not asked exactly once',
  );
  must(
    [...word].every((letter, index) => ballot?.answers[index] === answerOf(letter)),
    'an answer is misplaced',
  );
  return broken;
}

describe('what is put to all nodes at once', () => {
  test.each(([1, 3, 5, 7] as const).flatMap((nodes) => [['vote', nodes] as const, ['tell', nodes] as const]))(
    'settles as soon as it is certain, carried exactly by a majority for: %s, all vectors of %i nodes',
    async (by, nodes) => {
      const broken: string[] = [];
      for (const word of words('hA-', nodes)) {
        const all = orders(nodes);
        // 3^7 vectors: one order each, a different one from vector to vector.
        const chosen = nodes === 7 ? [all[count(word, 'h') % all.length]!] : all;
        for (const order of chosen) broken.push(...(await voteOnce(word, order, by)));
      }
      expect(broken.slice(0, 10)).toEqual([]);
    },
    30_000,
  );

  test('votes that overlap in time do not count for each other', async () => {
    const nodes = stubs(3);
    const majority = new Majority(nodes, silentProbe);
    const won = majority.vote(op, isFor);
    const lost = majority.vote(op, isFor);
    for (const node of nodes) {
      node.answer(answerOf('h'));
      node.answer(answerOf('A'));
    }
    expect((await won).carried).toBe(true);
    expect((await lost).carried).toBe(false);
  });

  test('answers that come after the decision still reach the ballot', async () => {
    const nodes = stubs(3);
    const voting = new Majority(nodes, silentProbe).vote(op, isFor);
    nodes[0]!.answer(answerOf('h'));
    nodes[2]!.answer(answerOf('h'));
    const ballot = await voting;
    expect([ballot.carried, ballot.answers[1]]).toEqual([true, undefined]);
    nodes[1]!.answer(answerOf('A'));
    await ballot.complete;
    expect(ballot.answers[1]).toEqual(answerOf('A'));
  });

  test('every answer is announced by its kind, and silence by its reason', async () => {
    const told: string[] = [];
    const probe = { ...silentProbe, vote: (...what: string[]) => void told.push(what.join(' ')) };
    const nodes = stubs(3);
    const voting = new Majority(nodes, probe).vote(op, isFor);
    nodes.forEach((node, index) => {
      node.answer(answerOf('h-A'[index]!));
    });
    await voting;
    expect(told.sort()).toEqual(['ping n0 held', 'ping n1 timeout', 'ping n2 conflict']);
  });
});

describe('a vote put to one node after the other', () => {
  /** Answers as `word` says whenever a node is asked; what the ballot then holds, and who was asked. */
  async function inTurn(word: string): Promise<{ ballot: Ballot; asked: string }> {
    const nodes = stubs(word.length);
    const voting = new Majority(nodes, silentProbe).vote(op, isFor, true);
    for (const [index, node] of nodes.entries()) {
      await steps(60);
      if (node.asked.length > 0) node.answer(answerOf(word[index]!));
    }
    const ballot = await voting;
    await ballot.complete;
    return { ballot, asked: nodes.map(({ asked }) => asked.length).join('') };
  }

  test('asks the next node only when the one before has answered', async () => {
    const nodes = stubs(3);
    const voting = new Majority(nodes, silentProbe).vote(op, isFor, true);
    await settled();
    expect(nodes.map(({ asked }) => asked.length)).toEqual([1, 0, 0]);
    nodes[0]!.answer(answerOf('h'));
    await settled();
    expect(nodes.map(({ asked }) => asked.length)).toEqual([1, 1, 0]);
    nodes[1]!.answer(answerOf('h'));
    expect((await voting).carried).toBe(true);
  });

  test.each([
    ['hhh', '111', true],
    ['A??', '100', false],
    ['hA?', '110', false],
    ['hhA', '111', true],
    ['-hh', '111', true],
    ['-A?', '110', false],
    ['A????', '10000', false],
    ['hhA??', '11100', false],
    ['--hhh', '11111', true],
  ])('%s asks %s of the nodes and goes no further than the first holder', async (word, asked, carried) => {
    const turn = await inTurn(word.replaceAll('?', 'h'));
    expect(turn.asked).toBe(asked);
    expect(turn.ballot.carried).toBe(carried);
    const skipped = [...asked].map((was) => was === '0');
    expect(turn.ballot.answers.map((answer) => answer?.kind === 'skipped')).toEqual(skipped);
  });

  test('one node with a slow clock does not speak for the others', async () => {
    const { ballot, asked } = await inTurn('ahh');
    expect(asked).toBe('111');
    expect(ballot.carried).toBe(true);
  });

  test.each([1, 3, 5])('settles for every vector of %i nodes', async (nodes) => {
    const broken: string[] = [];
    for (const word of words('hAsa-', nodes)) {
      const { ballot } = await inTurn(word);
      const votes = ballot.answers.filter((answer) => answer?.kind === 'held').length;
      if (ballot.carried !== votes >= majorityOf(nodes)) broken.push(word);
    }
    expect(broken.slice(0, 10)).toEqual([]);
  });
});

test.each([0, 2, 4, 6])('%i nodes are refused: a tie would never settle', (nodes) => {
  expect(() => new Majority(stubs(nodes), silentProbe)).toThrow(/odd number/);
});

test('all: asks every node and waits for each', async () => {
  const nodes = stubs(3);
  const asking = new Majority(nodes, silentProbe).all(op);
  nodes.forEach((node, index) => {
    node.answer(answerOf('h-A'[index]!));
  });
  expect(await asking).toEqual([answerOf('h'), answerOf('-'), answerOf('A')]);
});
