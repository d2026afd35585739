/** A janitor among replicas whose messages are held back and reordered by chance: it never takes away what somebody was promised. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import { type Mend, makeMend } from '../../../src/locks/mend.ts';
import { callerWho } from '../../harness/asking.ts';
import { quiet, type Replica, World } from './world.ts';

const TTL_MS = 1000;
const RUNS = 300;

class Client {
  readonly replica: Replica;
  lease: Lease | undefined;
  #busy = false;
  #gone = false;

  constructor(replica: Replica) {
    this.replica = replica;
  }

  get valid(): boolean {
    return this.lease !== undefined && this.replica.clock.wallMicros() / 1000 < this.lease.expireTimeMs;
  }

  act(wish: number, count: Counts): void {
    if (this.#busy) {
      if (wish === 0) this.#gone = true;
      return;
    }
    this.#busy = true;
    const { lease } = this;
    this.lease = wish < 2 ? undefined : lease;
    const done = lease === undefined ? this.#acquire(count) : this.#end(lease, wish, count);
    void done.then(() => {
      this.#busy = false;
    });
  }

  async #acquire(count: Counts): Promise<void> {
    this.#gone = false;
    const caller = callerWho(() => this.#gone);
    const answer = await this.replica.acquire({ ttlMs: TTL_MS }, caller);
    if (answer.kind !== 'lease') return;
    this.lease = answer;
    count.granted += 1;
  }

  async #end(lease: Lease, wish: number, count: Counts): Promise<void> {
    if (wish < 2) {
      await this.replica.release(lease);
      return;
    }
    const answer = await this.replica.heartbeat(lease, TTL_MS);
    this.lease = answer.kind === 'lease' ? answer : undefined;
    if (this.lease !== undefined) count.renewed += 1;
  }
}

interface Counts {
  granted: number;
  renewed: number;
  mended: number;
}

/** Looks and mends with no regard for age: what is certain must not depend on time. */
class Keeper {
  readonly #mend: Mend;
  #busy = false;

  constructor(mend: Mend) {
    this.#mend = mend;
  }

  act(count: Counts): void {
    if (this.#busy) return;
    this.#busy = true;
    void this.#run(count).then(() => {
      this.#busy = false;
    });
  }

  async #run(count: Counts): Promise<void> {
    const sight = await this.#mend.look('r', true);
    if (sight.kind === 'refusal') return;
    const findings = await this.#mend.mend(sight);
    count.mended += findings.filter(({ kind, mended }) => kind === 'undone_vote' && mended).length;
  }
}

const steps = fc.array(fc.nat({ max: 9999 }), { minLength: 60, maxLength: 260, size: 'max' });
const rates = fc.array(fc.double({ min: 0.9951, max: 1.0049, noNaN: true }), { minLength: 6, maxLength: 6 });

async function play(
  choices: readonly number[],
  clockRates: readonly number[],
  count: Counts,
  barOff = false,
): Promise<void> {
  const world = await World.of(3);
  world.rates = clockRates;
  world.fate = () => 'later';
  const clients = ['a', 'b'].map((id) => new Client(world.replica(id)));
  const keeper = new Keeper(makeMend({ quorum: world.replica('j').quorum, minAgeMs: -TTL_MS, barOff }));
  for (const choice of choices) {
    const kind = choice % 12;
    const pick = Math.floor(choice / 12);
    const message = world.inFlight[pick % Math.max(1, world.inFlight.length)];
    if (kind < 7 && message !== undefined) await world.deliver(message);
    else if (kind < 9) clients[pick % clients.length]!.act(Math.floor(pick / 3) % 6, count);
    else if (kind < 11) keeper.act(count);
    else await world.advance([1, 7, 60, 130, 260, 600][pick % 6]!);
    await quiet();
    const valid = clients.filter((client) => client.valid);
    expect(valid.length, 'valid leases at once').toBeLessThanOrEqual(1);
  }
}

test('two leases are never valid at once, whatever is mended in between', async () => {
  const count: Counts = { granted: 0, renewed: 0, mended: 0 };
  await fc.assert(
    fc.asyncProperty(steps, rates, (choices, clockRates) => play(choices, clockRates, count)),
    { numRuns: RUNS },
  );
  // It would hold as well where nothing is ever granted, or nothing mended.
  expect(count.granted).toBeGreaterThan(RUNS / 2);
  expect(count.renewed).toBeGreaterThan(RUNS / 10);
  expect(count.mended).toBeGreaterThan(RUNS / 30);
}, 60_000);

test('the same search finds two valid leases where leftovers are ended before they are barred', async () => {
  const count: Counts = { granted: 0, renewed: 0, mended: 0 };
  const search = fc.asyncProperty(steps, (choices) => play(choices, [], count, true));
  const found = await fc.check(search, { numRuns: 8 * RUNS, endOnFailure: true });
  expect(String(found.errorInstance)).toMatch(/valid leases at once/);
}, 60_000);
