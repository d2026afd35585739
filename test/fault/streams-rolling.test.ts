/** A rolling restart of all replicas under load loses no lease, gives none to two, and keeps the order of the line. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Fleet, MovingHold, MovingSession } from '../harness/moving.ts';
import { type Lease, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { Gate, Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const REPLICAS = 3;
/** Each a Hold that moves, with somebody behind it at another replica. */
const HOLDERS = 6;
const SESSION_LOCKS = 40;
/** Who take one lock again and again, in a few milliseconds. */
const WORKERS = 4;
/** Who stand in the line that is looked at. */
const LINE = 9;
const HOLD_TTL = span(3000);
const WAIT = { seconds: 50 };

let scene: Scene;
let fleet: Fleet;

beforeEach(async () => {
  scene = await Scene.open();
  fleet = await Fleet.of(REPLICAS, () => scene.process({ HOLDFAST_DRAIN_TIMEOUT: '60s' }));
});
afterEach(() => scene.close());

/** A lock that a stream keeps through all restarts, and whoever waits behind it all that time. */
class Guarded {
  readonly name: string;
  hold!: MovingHold;
  waiter!: Promise<Lease>;
  served = false;

  private constructor(name: string) {
    this.name = name;
  }

  static async begin(name: string, leavesFirst: boolean): Promise<Guarded> {
    const guarded = new Guarded(name);
    const request = { resources: [name], owner: `holder of ${name}`, ttl: HOLD_TTL, request_id: `h ${name}` };
    guarded.hold = await MovingHold.acquire(fleet, request, leavesFirst);
    const ask = { owner: `rival of ${name}`, wait: WAIT, request_id: `r ${name}` };
    guarded.waiter = fleet.ask((client) => client.lock(name, ask));
    void guarded.waiter.then(() => {
      guarded.served = true;
    });
    await scene.queued(name, 1);
    return guarded;
  }

  /** The waiter gets it now, and not before. */
  async end(): Promise<void> {
    expect({ [this.name]: this.hold.faults, served: this.served }).toEqual({
      [this.name]: [],
      served: false,
    });
    expect(this.hold.tokens.size).toBe(1);
    expect(this.hold.moves).toBeGreaterThan(0);
    this.hold.letGo();
    expect(BigInt((await this.waiter).fencing_token)).toBeGreaterThan(BigInt(this.hold.lease.fencing_token));
  }
}

/** Takes one lock again and again until told otherwise, through whichever replica serves. */
async function work(turns: Turns, owner: string, stopped: () => boolean): Promise<void> {
  for (let round = 0; !stopped(); round += 1) {
    const ask = { owner, wait: WAIT, request_id: `${owner} ${round}` };
    const { lease_id, fencing_token } = await fleet.ask((client) => client.lock('busy', ask));
    turns.begin(owner, BigInt(fencing_token));
    await fleet.ask((client) => client.inspect('busy'));
    turns.end(owner);
    await fleet.ask((client) => client.release(lease_id));
  }
}

/** One turn of a line, by Acquire or by Hold; `during` says how long. */
async function turn(turns: Turns, owner: string, byHold: boolean, during: Promise<void>): Promise<void> {
  const ask = { resources: ['line'], owner, wait: WAIT, request_id: `turn of ${owner}` };
  const hold = byHold ? await MovingHold.acquire(fleet, { ...ask, ttl: HOLD_TTL }) : undefined;
  const lease = hold?.lease ?? (await fleet.ask((client) => client.lock('line', ask)));
  turns.begin(owner, BigInt(lease.fencing_token));
  await during;
  turns.end(owner);
  turns.faults.push(...(hold?.faults ?? []));
  if (hold !== undefined) hold.letGo();
  else if (!(await fleet.ask((client) => client.release(lease.lease_id))))
    turns.faults.push(`${owner} had lost it`);
}

async function restart(): Promise<void> {
  const { ended, output } = await fleet.restart();
  expect(ended).toBe(0);
  expect(output).not.toContain('a call failed on a defect');
}

test('of three replicas', async () => {
  const guarded = await Promise.all(
    Array.from({ length: HOLDERS }, (_, index) => Guarded.begin(`guarded/${index}`, index % 2 === 1)),
  );
  const names = Array.from({ length: SESSION_LOCKS }, (_, index) => `session/${index}`);
  const session = await MovingSession.acquire(fleet, names, { ttl: HOLD_TTL });
  let stop = false;
  const busy = new Turns();
  const workers = Array.from({ length: WORKERS }, (_, index) => work(busy, `worker ${index}`, () => stop));

  const line = new Turns();
  const first = await MovingHold.acquire(fleet, { resources: ['line'], owner: 'first', ttl: HOLD_TTL });
  // Who stands fourth has the lock all through the second restart, and the seventh all through the third.
  const [second, third] = [new Gate(), new Gate()];
  const gates = new Map([
    [3, second],
    [6, third],
  ]);
  const turnsOfLine: Promise<void>[] = [];
  for (let place = 0; place < LINE; place += 1) {
    const during = gates.get(place)?.opened ?? Promise.resolve();
    turnsOfLine.push(turn(line, `w${place}`, place % 2 === 1, during));
    await scene.queued('line', place + 1);
  }

  await restart();
  expect(line.order).toEqual([]);
  expect(first.faults).toEqual([]);
  first.letGo();
  await line.reached(4);
  await restart();
  second.open();
  await line.reached(7);
  await restart();
  third.open();
  await Promise.all(turnsOfLine);
  expect(line.faults).toEqual([]);
  expect(line.order).toEqual(Array.from({ length: LINE }, (_, place) => `w${place}`));

  stop = true;
  await Promise.all(workers);
  expect(busy.faults).toEqual([]);
  expect(busy.order.length).toBeGreaterThan(10 * WORKERS);
  expect(session.faults).toEqual([]);
  expect(session.moves).toBeGreaterThan(0);
  const checks = session.leases.map(({ fencing_token }, index) =>
    fleet.ask((client) => client.checkToken(names[index]!, fencing_token)),
  );
  expect((await Promise.all(checks)).filter(({ current }) => !current)).toEqual([]);
  session.letGo();
  await Promise.all(guarded.map((one) => one.end()));
  await until('the session has let go of all', async () => {
    const page = await fleet.ask((client) => client.list({ prefix: 'session/', page_size: 1000 }));
    return page.locks.length === 0;
  });
});
