/** What many ends of streams on one connection must not do: outlive a deadline, or take down what stands beside them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { BareConnection } from '../harness/bare-streams.ts';
import type { TestReplica } from '../harness/replica.ts';
import { span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const CALLS = 500;
/** More than the 1,000 at once, and 33 a second, that node:http2 allows unless told otherwise. */
const CANCELS = 1500;
const CANCEL = 8;

let scene: Scene;
let replica: TestReplica;
let address: string;

beforeAll(async () => {
  scene = await Scene.open();
  replica = await scene.replica({ HOLDFAST_NODE_TIMEOUT: '5s' });
  address = replica.replica.addresses[0]!;
});
afterAll(() => scene.close());

async function nothingKept(): Promise<void> {
  await until('no stream keeps or waits', async () => {
    const { text } = await replica.http('/metrics');
    return /^holdfast_kept_leases 0$/m.test(text) && /^holdfast_waiters 0$/m.test(text);
  });
}

async function nothingHeld(prefix: string): Promise<void> {
  let left: string[] = [];
  await until(`nobody holds or waits for any of ${prefix}`, async () => {
    left = [];
    for (let token: string | undefined; token !== ''; ) {
      const page = await replica.client.list({ prefix, page_size: 1000, page_token: token ?? '' });
      left.push(...page.locks.map((lock) => JSON.stringify(lock)));
      token = page.next_page_token;
    }
    return left.length === 0;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${left.length} are: ${left.slice(0, 5)}`);
  });
}

// 1 ms is over before the handler runs; the others end before, while and after the nodes vote.
test.each([[1], [30]])(
  `nothing is held by ${CALLS} streams whose deadline passes within %i ms`,
  async (mostMs) => {
    const random = new SeededRandom(mostMs);
    const connection = await BareConnection.to(address);
    const names = Array.from({ length: CALLS }, (_, at) => `deadline/${mostMs}/${at}`);
    const streams = names.map((name, at) => {
      const timeoutMs = 1 + Math.floor(random.fraction() * mostMs);
      const acquire = {
        resources: [name],
        owner: 'late',
        wait: at % 3 === 0 ? span(5000) : null,
        request_id: at % 5 === 0 ? name : '',
      };
      if (at % 2 === 0) return connection.hold({ acquire }, timeoutMs);
      const session = connection.openSession(timeoutMs);
      session.ask([{ acquire }]);
      return session;
    });
    await until('each was told that its deadline has passed', () =>
      streams.every(({ status }) => status !== undefined),
    );
    expect(new Set(streams.map(({ status }) => status))).toEqual(new Set([4]));
    await nothingKept();
    await nothingHeld(`deadline/${mostMs}/`);
    for (let at = 0; at < CALLS; at += 50) {
      const lease = await replica.client.lock(names.slice(at, at + 50), { owner: 'next' });
      await replica.client.release(lease.lease_id);
    }
    connection.close();
  },
);

test(`a client that lets ${CANCELS} leases go by cancelling their Holds keeps the one that it does not cancel`, async () => {
  const connection = await BareConnection.to(address);
  const kept = connection.hold({ acquire: { resources: ['beside'], owner: 'kept', ttl: span(4000) } });
  const { fencing_token } = await kept.granted();
  const names = Array.from({ length: CANCELS }, (_, at) => `cancelled/${at}`);
  const queue = names.values();
  const loop = async () => {
    for (const name of queue) {
      const hold = connection.hold({ acquire: { resources: [name], owner: 'brief' } });
      await hold.next();
      hold.reset(CANCEL);
    }
  };
  await Promise.all(Array.from({ length: 16 }, loop));
  await nothingHeld('cancelled/');
  expect({ closed: kept.closed, status: kept.status }).toEqual({ closed: false, status: undefined });
  expect((await replica.client.checkToken('beside', fencing_token)).current).toBe(true);
  connection.close();
});
