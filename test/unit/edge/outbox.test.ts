/** What a session has to say: in one message a turn, in bounded messages, and no more than its reader takes. */
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import { limits } from '../../../src/domain/limits.ts';
import { invalidField } from '../../../src/domain/refusals.ts';
import type { SessionResponse } from '../../../src/edge/gen/holdfast/v1/SessionResponse.ts';
import { Outbox, type Subject, UNDER_WAY } from '../../../src/edge/outbox.ts';
import { Writes } from '../../../src/edge/writes.ts';
import { asking } from '../../harness/asking.ts';
import { FakeLocks, holder } from './fake-locks.ts';
import { contract, turn } from './stream-scene.ts';

const lease: Lease = new FakeLocks().grant(asking());
const loss = { reason: 'expired', leaseRef: 'abcdefghijklmnop', token: 1n, detail: '' } as const;
const asker = { owner: 'w9', priority: 7, waitedMs: 6500 };
const subject = (seq: number): Subject => ({ seq, leaseId: `id${seq}`, value: `v${seq}` });
const queued = (position: number) => ({ position, queueLength: 4, holders: [holder] });

class OutboxScene {
  readonly messages: SessionResponse[] = [];
  readonly defects: unknown[] = [];
  #untaken: (() => void)[] = [];
  /** Whether the reader takes at once what is written. */
  takes = true;
  written = 0;
  readonly outbox: Outbox;

  constructor() {
    const call = {
      write: (message: SessionResponse, done: () => void): boolean => {
        this.messages.push(message);
        if (this.takes) queueMicrotask(done);
        else this.#untaken.push(done);
        return true;
      },
    };
    const writes = new Writes<SessionResponse>(call, { onLeft: () => this.outbox.onRoom() });
    this.outbox = new Outbox(writes, {
      onWritten: () => {
        this.written += 1;
      },
      onDefect: (cause) => this.defects.push(cause),
    });
  }

  take(count = Infinity): void {
    for (const done of this.#untaken.splice(0, count)) done();
  }

  result(seq: number, bytes = 0): void {
    this.outbox.result({ seq, release: { released: true } }, bytes);
  }

  /** Seqs of results, and kinds of events with their seqs, of each message. */
  get said(): string[] {
    return this.messages.map(({ results = [], events = [] }) => {
      const kinds = ['queued', 'renewed', 'yield_request', 'lost', 'draining'] as const;
      return [
        ...results.map(({ seq }) => String(seq)),
        ...events.map((event) => `${kinds.find((kind) => event[kind])}:${event.seq}`),
      ].join(' ');
    });
  }
}

describe('packing', () => {
  test('all of one turn is one message, results before events', async () => {
    const scene = new OutboxScene();
    scene.outbox.lost(subject(9), loss);
    scene.outbox.renewed(subject(8), lease);
    scene.result(1);
    scene.outbox.yieldRequested(subject(7), asker);
    scene.outbox.queued(subject(6), queued(1));
    scene.outbox.draining(() => 500);
    scene.result(2);
    await turn();
    scene.result(3);
    await turn();
    expect(scene.said).toEqual(['1 2 queued:6 renewed:8 yield_request:7 lost:9 draining:0', '3']);
    expect([scene.outbox.unwritten, scene.outbox.empty]).toEqual([0, true]);
  });

  test('no message is larger than half of what a client takes, and nothing is left out', async () => {
    const scene = new OutboxScene();
    const long = {
      ...lease,
      leaseId: 'x'.repeat(limits.leaseIdLength),
      owner: 'ä'.repeat(limits.ownerLength),
    };
    for (let seq = 1; seq <= 60; seq += 1)
      scene.outbox.result({ seq, resume: { lease_id: 'x'.repeat(50_000) } }, 50_000);
    for (let seq = 1; seq <= 60; seq += 1) scene.outbox.renewed(subject(seq), long);
    const holders = Array.from({ length: 2000 }, () => ({
      ...holder,
      progress: 'y'.repeat(limits.progressLength),
    }));
    scene.outbox.queued(subject(61), { ...queued(1), holders });
    await turn();
    expect(scene.messages.length).toBeGreaterThan(6);
    for (const message of scene.messages) {
      expect(contract.locks.Session.responseSerialize(message).length).toBeLessThan(limits.messageBytes);
    }
    const all = scene.said.join(' ').split(' ');
    expect(all.filter((one) => /^\d+$/.test(one)).length).toBe(60);
    expect(all.filter((one) => one.startsWith('renewed')).length).toBe(60);
    expect(all).toContain('queued:61');
  });

  test('an error carries the facts of the refusal', async () => {
    const scene = new OutboxScene();
    scene.outbox.refuse(5, invalidField('acquire.ttl', 'must be a ttl'));
    await turn();
    expect(scene.messages[0]?.results).toMatchObject([
      {
        seq: 5,
        error: {
          code: 3,
          reason: 'INVALID_FIELD',
          message: 'acquire.ttl must be a ttl',
          metadata: { field: 'acquire.ttl' },
          field_violations: [{ field: 'acquire.ttl', description: 'must be a ttl' }],
        },
      },
    ]);
  });
});

describe('what is no news any more', () => {
  test('the newest of each lease and each wait is told', async () => {
    const scene = new OutboxScene();
    const one = subject(1);
    scene.outbox.renewed(one, lease);
    scene.outbox.renewed(one, { ...lease, expireTimeMs: 5000 });
    scene.outbox.queued(subject(2), queued(3));
    scene.outbox.queued(subject(3), queued(9));
    const two = subject(4);
    scene.outbox.queued(two, queued(3));
    scene.outbox.answered(two);
    scene.result(4);
    await turn();
    expect(scene.said).toEqual(['4 queued:2 queued:3 renewed:1']);
    expect(scene.messages[0]?.events?.at(-1)).toMatchObject({ renewed: { expire_time: { seconds: 5 } } });
  });

  test('of a lease that is lost or gone nothing else is told', async () => {
    const scene = new OutboxScene();
    const [one, two] = [subject(1), subject(2)];
    for (const each of [one, two]) {
      scene.outbox.renewed(each, lease);
      scene.outbox.yieldRequested(each, asker);
    }
    scene.outbox.lost(one, loss);
    scene.outbox.forget(two);
    await turn();
    expect(scene.said).toEqual(['lost:1']);
  });

  test('a lease that the session found again is not lost', async () => {
    const scene = new OutboxScene();
    scene.outbox.lost(subject(1), loss);
    scene.outbox.lost(subject(2), loss);
    scene.outbox.found('v1');
    await turn();
    expect(scene.said).toEqual(['lost:2']);
  });
});

describe('a reader that is slow', () => {
  test('has a few messages under way and the rest in one, as soon as there is room', async () => {
    const scene = new OutboxScene();
    scene.takes = false;
    for (let seq = 1; seq <= 20; seq += 1) {
      scene.result(seq);
      await turn();
    }
    expect([scene.messages.length, scene.outbox.unwritten]).toEqual([UNDER_WAY, 20 - UNDER_WAY]);
    scene.take(1);
    expect(scene.said.at(-1)).toBe('9 10 11 12 13 14 15 16 17 18 19 20');
    expect([scene.messages.length, scene.outbox.unwritten, scene.written]).toEqual([
      UNDER_WAY + 1,
      0,
      UNDER_WAY + 1,
    ]);
  });

  test('is told all that is known before the stream ends, and nothing after', async () => {
    const scene = new OutboxScene();
    scene.takes = false;
    for (let seq = 1; seq <= 20; seq += 1) {
      scene.result(seq);
      await turn();
    }
    scene.outbox.close();
    expect(scene.said.join(' ').split(' ').length).toBe(20);
    scene.result(21);
    scene.take();
    await turn();
    expect(scene.said.join(' ').split(' ').length).toBe(20);
  });
});

test('a defect in a message is told, and what follows it is dropped', async () => {
  const scene = new OutboxScene();
  scene.outbox.renewed(subject(1), null as never);
  await turn();
  expect([scene.defects.length, scene.messages]).toEqual([1, []]);
});
