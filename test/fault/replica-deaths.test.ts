/** All replicas die by kill -9, one after the other, under plain calls: nobody has what another holds, and named waiters keep their places. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Fleet } from '../harness/moving.ts';
import type { RpcClient } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const REPLICAS = 3;
const WORKERS = 3;
const NAMED = 5;
const WAIT = { seconds: 50 };

let scene: Scene;
let fleet: Fleet;
beforeAll(async () => {
  scene = await Scene.open();
  fleet = await Fleet.of(REPLICAS, () => scene.process());
});
afterAll(() => scene.close());

/** Takes one lock again and again by calls of their own, each repeated elsewhere when its replica dies. */
async function work(turns: Turns, owner: string, stopped: () => boolean): Promise<void> {
  for (let round = 0; !stopped(); round += 1) {
    const ask = { owner, wait: WAIT, request_id: `${owner} ${round}` };
    const { lease_id, fencing_token } = await fleet.ask((client) => client.lock('busy', ask));
    turns.begin(owner, BigInt(fencing_token));
    await fleet.ask((client) => client.heartbeat(lease_id));
    turns.end(owner);
    await fleet.ask((client) => client.release(lease_id));
  }
}

/** Waits its turn; `named`: its repeats can be told from newcomers. */
async function turn(turns: Turns, owner: string, named: boolean): Promise<void> {
  const ask = { owner, wait: WAIT, ...(named ? { request_id: `turn of ${owner}` } : {}) };
  const asked = (client: RpcClient) => client.lock('line', ask);
  const { lease_id, fencing_token } = await fleet.ask(asked);
  turns.begin(owner, BigInt(fencing_token));
  turns.end(owner);
  await fleet.ask((client) => client.release(lease_id));
}

test('three replicas are killed in turn', async () => {
  const busy = new Turns();
  let stop = false;
  const workers = Array.from({ length: WORKERS }, (_, index) => work(busy, `worker ${index}`, () => stop));
  const line = new Turns();
  const held = await fleet.ask((client) => client.lock('line', { owner: 'first', ttl: { seconds: 20 } }));
  // In line before all others, at a replica that will die, and not to be known again.
  const nameless = turn(line, 'nameless', false);
  await scene.queued('line', 1);
  const named: Promise<void>[] = [];
  for (let place = 0; place < NAMED; place += 1) {
    named.push(turn(line, `w${place}`, true));
    await scene.queued('line', place + 2);
  }
  for (let killed = 0; killed < REPLICAS; killed += 1) {
    const served = busy.order.length;
    expect((await fleet.restart('SIGKILL')).ended).toBe('SIGKILL');
    await until('the others go on', () => busy.order.length > served + 2 * WORKERS);
    expect(line.order).toEqual([]);
    const renewed = await fleet.ask((client) => client.heartbeat(held.lease_id));
    expect(renewed.fencing_token).toBe(held.fencing_token);
  }
  expect(await fleet.ask((client) => client.release(held.lease_id))).toBe(true);
  await Promise.all([...named, nameless]);
  stop = true;
  await Promise.all(workers);
  expect(line.faults).toEqual([]);
  expect(line.order).toEqual([...Array.from({ length: NAMED }, (_, place) => `w${place}`), 'nameless']);
  expect(busy.faults).toEqual([]);
  await scene.nodes.free('busy');
  await scene.nodes.free('line');
});
