/** A session that asks as much as it may leaves room for everybody else: counted in its own answers, not in time. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import { BareConnection, type BareSession } from '../harness/bare-streams.ts';
import type { TestReplica } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const ROUNDS = 15;
/** What was asked before may come first, and as much again while the question travels. */
const MOST_BEFORE = 2 * (limits.operationsPerSession + limits.operationsPerMessage);

let scene: Scene;
let replica: TestReplica;
let address: string;
const open: BareConnection[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  replica = await scene.replica({ HOLDFAST_NODE_TIMEOUT: '10s' });
  address = replica.replica.addresses[0]!;
  const lease = await replica.client.lock('known');
  await replica.client.release(lease.lease_id);
});
afterEach(() => {
  for (const connection of open.splice(0)) connection.close();
});
afterAll(() => scene.close());

/** Keeps as many operations unanswered as a session may have. */
class Flood {
  answered = 0;
  readonly refusals = new Set<string>();
  readonly #session: BareSession;
  readonly #ops: SessionOp[];
  #asked = 0;

  constructor(connection: BareConnection, op: SessionOp) {
    this.#ops = Array.from({ length: limits.operationsPerMessage }, () => op);
    this.#session = connection.openSession();
    this.#session.onMessage = ({ results }) => {
      this.#session.messages.length = 0;
      this.answered += results.length;
      for (const { error } of results) if (error) this.refusals.add(`${error.reason}: ${error.message}`);
      this.#fill();
    };
    this.#fill();
  }

  #fill(): void {
    while (this.#asked - this.answered <= limits.operationsPerSession - limits.operationsPerMessage) {
      this.#asked += this.#ops.length;
      this.#session.ask(this.#ops);
    }
  }
}

test.each<[string, SessionOp]>([
  ['asks the nodes', { check_token: { resource: 'known', fencing_token: 1 } }],
  ['is wrong', { acquire: { resources: Array(64).fill('no name'), owner: '' } }],
])(
  'a flood that %s holds up neither a unary call nor another session, and refuses nobody',
  async (_what, op) => {
    const [loud, quiet] = await Promise.all([BareConnection.to(address), BareConnection.to(address)]);
    open.push(loud, quiet);
    const flood = new Flood(loud, op);
    const session = quiet.openSession();
    await until('the flood runs', () => flood.answered > 0);
    const waited: number[] = [];
    const counted = async <T>(act: () => Promise<T>): Promise<T> => {
      const before = flood.answered;
      const answer = await act();
      waited.push(flood.answered - before);
      return answer;
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      const lease = await counted(() => replica.client.lock('unary'));
      expect(await counted(() => replica.client.release(lease.lease_id))).toBe(true);
      const ask = (op: SessionOp) => counted(() => session.answered(session.ask([op])));
      const { acquire, error } = await ask({ acquire: { resources: ['session'], owner: 'quiet' } });
      expect(error ?? null).toBeNull();
      const lease_id = acquire!.lease!.lease_id;
      expect((await ask({ release: { lease_id } })).release?.released).toBe(true);
    }
    expect(Math.max(...waited)).toBeLessThan(MOST_BEFORE);
    expect([...flood.refusals].filter((refusal) => !refusal.startsWith('INVALID_FIELD'))).toEqual([]);
  },
);
