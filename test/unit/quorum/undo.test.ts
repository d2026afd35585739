/** Undos that must arrive: sent until the node confirms, bounded in number and in time. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { silentProbe } from '../../../src/domain/probe.ts';
import type { Answer, ReleaseOp } from '../../../src/nodes/node.ts';
import { Undo } from '../../../src/quorum/undo.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { QuickNode, settled } from './stub-nodes.ts';

const MEMORY_MS = 60_000;
const CONFIRMED: Answer = { kind: 'released', matched: false };
const SILENT: Answer = { kind: 'silent', why: 'timeout', detail: '' };

function undoOf(name: string): ReleaseOp {
  return {
    kind: 'release',
    secret: name,
    token: 1n,
    value: `${name}|1`,
    resources: ['r'],
    why: 'undone',
    reason: '',
    closing: true,
    seen: 0n,
  };
}

function bench(answers: readonly Answer[] = [CONFIRMED, CONFIRMED, CONFIRMED]) {
  const clock = new ManualClock();
  const nodes = answers.map((answer, index) => new QuickNode(`n${index}`, () => answer));
  const notices: string[] = [];
  const owed: number[] = [];
  const probe = {
    ...silentProbe,
    notice: (_level: string, message: string) => void notices.push(message),
    undosOwed: (_node: string, count: number) => void owed.push(count),
  };
  const undo = new Undo(nodes, clock, probe, MEMORY_MS);
  const advance = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.advance(Math.min(10, ms - passed));
      await settled(1);
    }
  };
  return { clock, nodes, undo, notices, owed, advance };
}

describe('send', () => {
  test('the end of a stream, which names its binding, does not stand in for a release that names none', async () => {
    const { nodes, undo, advance } = bench([SILENT]);
    const release = { ...undoOf('a'), closing: false };
    await undo.send({ ...undoOf('a'), binding: 1 }, [0]);
    await undo.send(release, [0]);
    expect(undo.count(0)).toBe(2);
    nodes[0]!.ops.length = 0;
    await advance(5000);
    expect(nodes[0]!.ops).toContainEqual(release);
  });

  test('goes to the targets and no further, and is done when they confirmed', async () => {
    const { nodes, undo, advance } = bench();
    expect(await undo.send(undoOf('a'), [0, 2])).toEqual([CONFIRMED, CONFIRMED]);
    await advance(5000);
    expect(nodes.map(({ ops }) => ops.length)).toEqual([1, 0, 1]);
    expect([0, 1, 2].map((index) => undo.count(index))).toEqual([0, 0, 0]);
  });

  test.each([
    ['silence', SILENT],
    ['a full node', { kind: 'silent', why: 'full', detail: 'OOM' }],
    ['an error', { kind: 'silent', why: 'error', detail: 'ERR' }],
    ['an answer to something else', { kind: 'missing', why: 'unknown' }],
    ['an amnesiac node', { kind: 'silent', why: 'amnesia', detail: '' }],
  ] as [string, Answer][])(
    '%s is no confirmation: it is sent again until there is one',
    async (_, answer) => {
      const { nodes, undo, advance } = bench([answer]);
      await undo.send(undoOf('a'), [0]);
      expect(undo.count(0)).toBe(1);
      await advance(3000);
      const tries = nodes[0]!.ops.length;
      expect(tries).toBeGreaterThan(3);
      expect(undo.count(0)).toBe(1);
      nodes[0]!.respond = () => CONFIRMED;
      await advance(2100);
      expect(undo.count(0)).toBe(0);
      expect(nodes[0]!.ops.length).toBe(tries + 1);
      await advance(10_000);
      expect(nodes[0]!.ops.length).toBe(tries + 1);
    },
  );
});

describe('retries', () => {
  test('come ever more slowly, between 50 ms and 2 s', async () => {
    const { clock, nodes, undo, advance } = bench([SILENT]);
    const at: number[] = [];
    nodes[0]!.respond = () => {
      at.push(clock.monotonicMs());
      return SILENT;
    };
    await undo.send(undoOf('a'), [0]);
    await advance(20_000);
    const gaps = at.slice(1).map((time, index) => time - at[index]!);
    expect(gaps[0]).toBe(50);
    for (const [index, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(gaps[index - 1] ?? 0);
      expect(gap).toBeLessThanOrEqual(2000 + 10);
    }
    expect(gaps.length).toBeGreaterThan(10);
  });

  test('end after the memory is over, whatever the node says', async () => {
    const { nodes, undo, owed, advance } = bench([SILENT]);
    await undo.send(undoOf('a'), [0]);
    await advance(MEMORY_MS - 100);
    expect(undo.count(0)).toBe(1);
    await advance(2500);
    expect(undo.count(0)).toBe(0);
    expect(owed.at(-1)).toBe(0);
    const tries = nodes[0]!.ops.length;
    await advance(10_000);
    expect(nodes[0]!.ops.length).toBe(tries);
  });

  test('carry at most one batch at a time, oldest first, until the list is empty', async () => {
    const { nodes, undo, advance } = bench([SILENT]);
    const many = limits.operationsPerBatch * 2 + 5;
    for (let index = 0; index < many; index += 1) undo.owe(undoOf(`u${index}`), 0);
    await advance(60);
    expect(nodes[0]!.ops.length).toBe(limits.operationsPerBatch);
    expect((nodes[0]!.ops[0] as ReleaseOp).secret).toBe('u0');
    nodes[0]!.respond = () => CONFIRMED;
    await advance(2000);
    expect(undo.count(0)).toBe(0);
  });

  test('one node that is silent does not hold up another', async () => {
    const { nodes, undo, advance } = bench([SILENT, SILENT]);
    await undo.send(undoOf('a'), [0, 1]);
    nodes[1]!.respond = () => CONFIRMED;
    await advance(100);
    expect([undo.count(0), undo.count(1)]).toEqual([1, 0]);
  });

  test('the list is bounded: the oldest goes, and somebody is told', async () => {
    const { undo, notices } = bench([SILENT]);
    for (let index = 0; index < limits.undosPerNode; index += 1) undo.owe(undoOf(`u${index}`), 0);
    expect(notices).toEqual([]);
    undo.owe(undoOf('one more'), 0);
    expect(undo.count(0)).toBe(limits.undosPerNode);
    expect(notices).toEqual([expect.stringContaining('oldest')]);
  });

  test('an undo that is owed already takes no place from another', () => {
    const { undo, notices } = bench([SILENT]);
    for (let index = 0; index < limits.undosPerNode; index += 1) undo.owe(undoOf(`u${index}`), 0);
    undo.owe(undoOf('u7'), 0);
    expect(undo.count(0)).toBe(limits.undosPerNode);
    expect(notices).toEqual([]);
  });

  test('one that is renewed while it is under way stays owed', async () => {
    const { nodes, undo, advance } = bench([SILENT]);
    await undo.send(undoOf('a'), [0]);
    nodes[0]!.respond = () => {
      nodes[0]!.respond = () => SILENT;
      undo.owe({ ...undoOf('a'), reason: 'newer' }, 0);
      return CONFIRMED;
    };
    await advance(60);
    expect(undo.count(0)).toBe(1);
  });
});
