/** The batch: one send a tick, split at its limit, in order, and bounded. */
import { expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { Batch } from '../../../src/nodes/batch.ts';
import type { Answer, LookOp, NodeOp, Silent } from '../../../src/nodes/node.ts';
import { settled } from '../quorum/stub-nodes.ts';

const look = (resource: string): LookOp => ({ kind: 'look', resource, history: 0 });
const nameOf = (op: NodeOp): string => (op as LookOp).resource;
/** An answer that says which operation it belongs to. */
const echo = (op: NodeOp): Answer => ({ kind: 'silent', why: 'error', detail: nameOf(op) });

const noDefect = (cause: unknown): void => {
  throw cause;
};

function sending(
  respond: (operations: readonly NodeOp[]) => readonly Answer[] | Silent = (some) => some.map(echo),
) {
  const sent: string[][] = [];
  const batch = new Batch(async (operations) => {
    sent.push(operations.map(nameOf));
    return respond(operations);
  }, noDefect);
  return { batch, sent };
}

test('all that one tick asks leaves as one batch, in order, each with its own answer', async () => {
  const { batch, sent } = sending();
  const answers = await Promise.all(['a', 'b', 'c'].map((name) => batch.ask(look(name))));
  expect(sent).toEqual([['a', 'b', 'c']]);
  expect(answers.map((answer) => (answer as Silent).detail)).toEqual(['a', 'b', 'c']);
});

test('what is asked in a later tick leaves in another batch, without waiting for the first', async () => {
  let finish: (answers: readonly Answer[]) => void = () => {};
  const sent: string[][] = [];
  const batch = new Batch((operations) => {
    sent.push(operations.map(nameOf));
    return new Promise((resolve) => {
      finish = resolve;
    });
  }, noDefect);
  void batch.ask(look('a'));
  await settled(2);
  void batch.ask(look('b'));
  await settled(2);
  expect(sent).toEqual([['a'], ['b']]);
  finish([]);
});

test('promises of one tick that ask on still join its batch', async () => {
  const { batch, sent } = sending();
  await Promise.all([batch.ask(look('a')), Promise.resolve().then(() => batch.ask(look('b')))]);
  expect(sent).toEqual([['a', 'b']]);
});

test.each([
  [limits.operationsPerBatch, [limits.operationsPerBatch]],
  [limits.operationsPerBatch + 1, [limits.operationsPerBatch, 1]],
  [
    limits.operationsPerBatch * 3 + 7,
    [limits.operationsPerBatch, limits.operationsPerBatch, limits.operationsPerBatch, 7],
  ],
])('%i operations leave in batches of %j', async (operations, sizes) => {
  const { batch, sent } = sending();
  const names = Array.from({ length: operations }, (_, index) => `r${index}`);
  const answers = await Promise.all(names.map((name) => batch.ask(look(name))));
  expect(sent.map((some) => some.length)).toEqual(sizes);
  expect(sent.flat()).toEqual(names);
  expect(answers.map((answer) => (answer as Silent).detail)).toEqual(names);
});

test('a node that owes too many answers is asked no more until it has given some', async () => {
  const waiting: (() => void)[] = [];
  const batch = new Batch(
    (operations) =>
      new Promise((resolve) => {
        waiting.push(() => resolve(operations.map(echo)));
      }),
    noDefect,
  );
  const asked = Array.from({ length: limits.operationsInFlight }, (_, index) => batch.ask(look(`r${index}`)));
  expect(await batch.ask(look('one more'))).toMatchObject({ kind: 'silent', why: 'overloaded' });
  await settled(2);
  expect(await batch.ask(look('still too many'))).toMatchObject({ why: 'overloaded' });
  waiting[0]!();
  await settled(2);
  const next = batch.ask(look('again'));
  await settled(2);
  for (const answer of waiting) answer();
  expect((await next) as Silent).toMatchObject({ detail: 'again' });
  expect((await Promise.all(asked)).length).toBe(limits.operationsInFlight);
});

test('silence of the node is the answer to every operation of the batch, and frees its places', async () => {
  const silent: Silent = { kind: 'silent', why: 'timeout', detail: 'slow' };
  const { batch } = sending(() => silent);
  for (let round = 0; round < 3; round += 1) {
    const asked = Array.from({ length: limits.operationsInFlight }, () => batch.ask(look('r')));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([silent]));
  }
});

test('a node that answers too little is silent for the rest', async () => {
  const { batch } = sending((operations) => operations.slice(0, 1).map(echo));
  const answers = await Promise.all([batch.ask(look('a')), batch.ask(look('b'))]);
  expect(answers).toMatchObject([
    { detail: 'a' },
    { why: 'error', detail: expect.stringContaining('too little') },
  ]);
});

test('a listener that throws is told of, and keeps no other from its answer', async () => {
  const defects: unknown[] = [];
  const batch = new Batch(
    async (operations) => operations.map(echo),
    (cause) => defects.push(cause),
  );
  batch.post(look('a'), () => {
    throw new Error('of the listener');
  });
  expect(await batch.ask(look('b'))).toMatchObject({ detail: 'b' });
  expect(defects).toEqual([new Error('of the listener')]);
});

test('a batch waits while turns bring more, but not for ever, and a lone operation for one empty turn', async () => {
  const { batch, sent } = sending();
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  for (const name of ['a', 'b', 'c', 'd']) {
    void batch.ask(look(name));
    await turn();
  }
  await batch.ask(look('e'));
  expect(sent).toEqual([
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
});
