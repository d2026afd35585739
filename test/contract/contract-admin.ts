/** Admission: meta and quarantine change only by comparison, and a takeover never lowers a fence (admin.ts). */
import { describe, expect, test } from 'vitest';
import type { AdminAnswer } from '../../src/nodes/admin.ts';
import { attempt, Caller, lost, tokenAt } from './caller.ts';
import { longestTtlMs, metaOf, startMicros } from './under-test.ts';

const T = tokenAt();
const done = { kind: 'done' };
const unsuspected = { floor: 0n, suspectUntil: 0 };

const standing = (runId: string, id = 'q', why = 'new run') => ({
  id,
  runId,
  cluster: 'c',
  why,
  adopted: false,
  longestTtlMs,
});

/** A node with the steps of its admission. */
class Entrant extends Caller {
  quarantine(runId: string, id = 'q', why = 'new run'): Promise<AdminAnswer> {
    return this.admin({ kind: 'quarantine', cluster: 'c', runId, id, why, longestTtlMs });
  }

  create(runId: string, quarantineId = 'q'): Promise<AdminAnswer> {
    return this.admin({ kind: 'create', quarantineId, meta: metaOf(runId) });
  }
}

export function adminContract(caller: () => Caller): void {
  const node = () => new Entrant(caller().under);
  describeBirth(node);
  describeCreate(node);
  describeRuns(node);
}

function describeBirth(node: () => Entrant): void {
  describe('quarantine', () => {
    test('is put once for a run: whoever comes second learns of the first', async () => {
      await node().under.forget();
      const first = { kind: 'state', quarantine: standing('run-1') };
      expect(await node().quarantine('run-1')).toEqual(first);
      expect(await node().quarantine('run-1', 'other', 'later')).toEqual(first);
    });

    test('is not put beside a meta of the same run', async () => {
      const state = await node().state();
      expect(await node().quarantine(node().runId)).toEqual(state);
      expect(state.quarantine).toBeUndefined();
    });

    test('of an older run gives way, and an older meta stays beside it', async () => {
      const meta = { ...metaOf(node().runId), ...unsuspected };
      expect(await node().quarantine('run-1')).toEqual({
        kind: 'state',
        meta,
        quarantine: standing('run-1'),
      });
      const later = { kind: 'state', meta, quarantine: standing('run-2', 'q2') };
      expect(await node().quarantine('run-2', 'q2')).toEqual(later);
    });
  });
}

function describeCreate(node: () => Entrant): void {
  describe('create', () => {
    test('ends the quarantine of exactly this run and id', async () => {
      await node().under.forget();
      expect(await node().create('run-1')).toEqual(lost());
      await node().quarantine('run-1');
      expect(await node().create('run-1', 'other')).toEqual(lost());
      expect(await node().create('run-2')).toEqual(lost());
      expect(await node().create('run-1')).toEqual(done);
      expect(await node().state()).toEqual({ kind: 'state', meta: { ...metaOf('run-1'), ...unsuspected } });
      expect(await node().create('run-1')).toEqual(lost());
    });

    test("keeps the node's own floor and suspicion", async () => {
      await node().undo(attempt('x', T, 'a'));
      node().at(86_400_000_000 + 1);
      await node().sweep();
      await node().admin({ kind: 'suspect', runId: node().runId });
      const before = (await node().state()).meta;
      expect(before).toMatchObject({ floor: T });
      await node().quarantine('run-1');
      await node().create('run-1');
      expect((await node().state()).meta).toEqual({ ...before, runId: 'run-1' });
    });
  });
}

function describeRuns(node: () => Entrant): void {
  test('inherit moves a durable meta to the next run and ends its quarantine', async () => {
    const { runId } = node();
    const inherit = (previousRunId: string, to: string, durable = true) =>
      node().admin({ kind: 'inherit', previousRunId, runId: to, durable });
    expect(await inherit('another', 'run-1')).toEqual(lost());
    await node().admin({
      kind: 'quarantine',
      cluster: 'c',
      runId: 'run-1',
      id: 'q',
      why: 'new run',
      longestTtlMs,
    });
    expect(await inherit(runId, 'run-1', false)).toEqual(done);
    const meta = { ...metaOf('run-1'), durable: false, ...unsuspected };
    expect(await node().state()).toEqual({ kind: 'state', meta });
    expect(await inherit('run-1', 'run-2')).toEqual(lost());
  });

  test('durable is recorded for this run only', async () => {
    const { runId } = node();
    expect(await node().admin({ kind: 'durable', runId: 'another', durable: false })).toEqual(lost());
    expect(await node().admin({ kind: 'durable', runId, durable: false })).toEqual(done);
    expect((await node().state()).meta?.durable).toBe(false);
    expect(await node().admin({ kind: 'durable', runId, durable: true })).toEqual(done);
    expect((await node().state()).meta?.durable).toBe(true);
  });

  test('suspect reaches one longest ttl from now, for this run only', async () => {
    expect(await node().admin({ kind: 'suspect', runId: 'another' })).toEqual(lost());
    node().at(5);
    expect(await node().admin({ kind: 'suspect', runId: node().runId })).toEqual(done);
    expect((await node().state()).meta?.suspectUntil).toBe(startMicros + 5 + longestTtlMs * 1000);
  });
}
