/** The Lua scripts and the memory node give the same answer to every operation of any sequence (node.ts, admin.ts). */
import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AdminAnswer } from '../../src/nodes/admin.ts';
import type { Wake } from '../../src/nodes/line.ts';
import type { Rules } from '../../src/nodes/memory-record.ts';
import type { Answer } from '../../src/nodes/node.ts';
import { anyLineStep } from './line-steps.ts';
import { type Action, actionsOf } from './node-script.ts';
import { anyStep, type Step } from './node-steps.ts';
import { openMemory, openRedis, reset, type UnderTest } from './under-test.ts';

const SEQUENCES = Number(process.env.HOLDFAST_SEQUENCES ?? 5_000);
const STEPS = 50;
const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));

type Given = Answer | AdminAnswer;

let redis: UnderTest;

beforeAll(async () => {
  redis = await openRedis();
});

afterAll(() => redis?.close());

interface Outcome {
  readonly given: readonly Given[];
  readonly wakes: readonly Wake[];
  readonly forced: readonly string[];
}

/** What a node answers to all of it, whom it wakes and which leases it tells as forced; what stands between two moves of the clock is asked in one tick, as one batch. */
async function answersOf(under: UnderTest, actions: readonly Action[]): Promise<Outcome> {
  const { node } = under;
  const given: (Given | Promise<Given>)[] = [];
  await reset(under);
  await under.wakes();
  await under.forced();
  for (const action of actions) {
    if (action.do === 'ask') {
      given.push(node.ask(action.op));
      continue;
    }
    await Promise.all(given);
    if (action.do === 'admin') given.push(node.admin(action.op));
    else if (action.do === 'clock') under.setClock(action.micros);
    else if (action.do === 'admit') node.admit(action.stamp);
    else await under.forget();
  }
  return { given: await Promise.all(given), wakes: await under.wakes(), forced: await under.forced() };
}

/** Details are for people: each side words its own. */
function comparable(given: Given): Given {
  return given.kind === 'silent' || given.kind === 'lost' ? { ...given, detail: '' } : given;
}

/** The first difference, told with all that led to it, or undefined. */
async function difference(steps: readonly Step[], rules: Partial<Rules>): Promise<string | undefined> {
  const actions = actionsOf(steps, redis.runId);
  const memory = openMemory(redis.runId, rules);
  const [lefts, rights] = await Promise.all([answersOf(redis, actions), answersOf(memory, actions)]);
  let answered = 0;
  for (const [index, action] of actions.entries()) {
    if (action.do !== 'ask' && action.do !== 'admin') continue;
    const [left, right] = [comparable(lefts.given[answered]!), comparable(rights.given[answered]!)];
    answered += 1;
    if (isDeepStrictEqual(left, right)) continue;
    const before = actions.slice(0, index + 1).map((done) => `  ${text(done)}`);
    return [...before, `redis:  ${text(left)}`, `memory: ${text(right)}`].join('\n');
  }
  const [left, right] = [told(lefts), told(rights)];
  if (isDeepStrictEqual(left, right)) return undefined;
  return [
    ...actions.map((done) => `  ${text(done)}`),
    `redis:  ${text(left)}`,
    `memory: ${text(right)}`,
  ].join('\n');
}

/** One operation may wake several, in no particular order. */
function told({ wakes, forced }: Outcome): unknown {
  return { wakes: wakes.map(text).sort(), forced };
}

/** Leaves out every step without which the nodes still differ: what is left is the story of one difference. */
async function shortest(steps: readonly Step[]): Promise<readonly Step[]> {
  for (let at = steps.length - 1; at >= 0; at--) {
    const fewer = steps.toSpliced(at, 1);
    if ((await difference(fewer, {})) !== undefined) return shortest(fewer);
  }
  return steps;
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part));
}

const lengths = { minLength: STEPS, maxLength: STEPS, size: 'max' } as const;
/** Most are about everything; in some, waiters come and go so often that they meet, outlive and outwait each other. */
const sequences: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 2, arbitrary: fc.array(anyStep, lengths) },
  { weight: 1, arbitrary: fc.array(fc.oneof(anyStep, anyLineStep), lengths) },
);

describe('redis node and memory node', () => {
  test(`answer alike to ${SEQUENCES} random sequences of ${STEPS} steps`, { timeout: 240_000 }, async () => {
    const outcome = await search({});
    if (outcome.counterexample !== null)
      expect.fail(await report(outcome.numRuns, outcome.counterexample[0]));
  });

  test.each<keyof Rules>([
    'expiryInclusive',
    'uniquePerAttempt',
    'closing',
    'equalTokenOtherOpener',
    'floor',
    'ahead',
    'readersExclude',
    'lineKept',
    'readerRepairShut',
    'bindings',
  ])('are told apart when the rule %s is switched off in one of them', { timeout: 240_000 }, async (rule) => {
    const off = { [rule]: false };
    const { counterexample } = await search(off);
    if (counterexample === null)
      expect.fail(`no sequence noticed that ${rule} is off; HOLDFAST_SEED=${seed}`);
    const [steps] = counterexample;
    expect(await difference(steps, off), 'the rule is to blame').toContain('memory: ');
    expect(await difference(steps, {}), 'nothing else is').toBeUndefined();
  });
});

function search(rules: Partial<Rules>): Promise<fc.RunDetails<[Step[]]>> {
  const alike = fc.asyncProperty(sequences, async (steps) => (await difference(steps, rules)) === undefined);
  return fc.check(alike, { numRuns: SEQUENCES, seed, endOnFailure: true });
}

async function report(sequence: number, steps: readonly Step[]): Promise<string> {
  const command = `HOLDFAST_SEED=${seed} npx vitest run --project real test/contract/node-property.test.ts`;
  const story = await difference(await shortest(steps), {});
  return `the nodes differ in sequence ${sequence}; repeat with\n${command}\n${story}`;
}
