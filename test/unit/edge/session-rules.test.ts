/** What breaks the rules of a session as a stream ends it, and has no other effect. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { RANGES_KEPT } from '../../../src/edge/seq-set.ts';
import { acquire, SessionScene } from './session-scene.ts';
import { contract } from './stream-scene.ts';

describe('the rules of the stream', () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => acquire(at + 1));

  test('1,024 operations a message pass, and one more ends it without effect', async () => {
    const scene = new SessionScene();
    await scene.ask(...many(limits.operationsPerMessage));
    expect(scene.results.length).toBe(1024);
    const other = new SessionScene();
    await other.ask(...many(limits.operationsPerMessage + 1));
    expect([other.stream.outcome, other.fields, other.locks.holds]).toEqual(['INVALID_FIELD', ['ops'], []]);
  });

  test('a seq of 0, and one used before, end it; what else the message asks is not done', async () => {
    for (const [ops, field] of [
      [[acquire(1), acquire(0)], 'ops[1].seq'],
      [[acquire(2), acquire(3), acquire(2)], 'ops[2].seq'],
      [[{ seq: 1, cancel: { seq: 1 } }, acquire(5), acquire(9)], 'ops[2].seq'],
      [[acquire('9007199254740993'), acquire('9007199254740993')], 'ops[1].seq'],
    ] as const) {
      const scene = new SessionScene();
      const kept = await scene.held(9);
      const before = scene.locks.holds.length;
      await scene.ask(...ops);
      expect([scene.stream.outcome, scene.fields, scene.locks.holds.length]).toEqual([
        'INVALID_FIELD',
        [field],
        before,
      ]);
      expect(kept.ends).toEqual(['closed 0']);
    }
  });

  test('a seq that was answered is used, too', async () => {
    const scene = new SessionScene();
    await scene.ask({ seq: 1, cancel: { seq: 7 } });
    await scene.ask({ seq: 1, cancel: { seq: 7 } });
    expect([scene.stream.outcome, scene.outcomes]).toEqual(['INVALID_FIELD', ['1 cancel']]);
  });

  test('a bad grace and a message that is none end it', async () => {
    for (const grace of [{ seconds: -1 }, { seconds: 60, nanos: 1 }]) {
      const scene = new SessionScene();
      scene.message({ ops: [acquire(1)], grace });
      expect([scene.stream.outcome, scene.fields, scene.locks.holds]).toEqual([
        'INVALID_FIELD',
        ['grace'],
        [],
      ]);
    }
    const scene = new SessionScene();
    scene.stream.emit('data', contract.locks.Session.requestDeserialize(Buffer.from([0xff])));
    expect(scene.stream.outcome).toBe('INVALID_FIELD');
  });

  test('a seq that is not answered yet is known however many came after it', async () => {
    const scene = new SessionScene();
    scene.waits();
    scene.send(acquire(1, { wait: { seconds: 9 } }));
    for (let from = 10; from < 2 * RANGES_KEPT + 2048; from += 2048) {
      await scene.ask(
        ...Array.from({ length: 1024 }, (_, at) => ({ seq: from + 2 * at, cancel: { seq: 7 } })),
      );
    }
    expect(scene.stream.outcome).toBe('open');
    await scene.ask({ seq: 1, cancel: { seq: 7 } });
    expect([scene.stream.outcome, scene.fields]).toEqual(['INVALID_FIELD', ['ops[0].seq']]);
  });

  test('what was answered before is still told', () => {
    const scene = new SessionScene();
    scene.send({ seq: 1, cancel: { seq: 7 } });
    scene.send(acquire(0));
    expect([scene.stream.outcome, scene.outcomes]).toEqual(['INVALID_FIELD', ['1 cancel']]);
  });

  test('after the end nothing is read any more', async () => {
    const scene = new SessionScene();
    await scene.ask(acquire(0));
    await scene.ask(acquire(1));
    expect([scene.locks.holds, scene.results]).toEqual([[], []]);
  });
});
