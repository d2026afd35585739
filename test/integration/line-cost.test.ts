/** What one hand-off of a contended lock asks of the nodes, counted by themselves, however many wait. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DeskOptions } from '../harness/desk.ts';
import { Scene } from '../harness/scene.ts';
import { Gate, type Seat, seatAt, seatThrough, Turns, withoutTimersOf } from '../harness/turns.ts';
import { repeat } from '../harness/until.ts';

const NAME = 'gpu/0';
const HAND_OFFS = 150;

/** Nothing but the hand-offs: probes, sweeps, looks and refreshed places would come after 300 ms or more. */
const quiet: DeskOptions = { clock: withoutTimersOf(300), waiting: { livenessMs: 60_000 } };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

interface Cost {
  readonly scripts: number;
  /** Hand-offs from one replica to another. */
  readonly crossed: number;
}

/** Clients who come back at once, in turns at each replica; counts between two grants, while all others wait. */
class Round {
  readonly #turns = new Turns();
  readonly #seats: readonly Seat[];
  readonly #clients: number;
  readonly #gates: ReadonlyMap<number, Gate>;
  #over = false;

  constructor(seats: readonly Seat[], clients: number) {
    this.#seats = seats;
    this.#clients = clients;
    // The first ones as they come do not count, nor does how the line begins.
    this.#gates = new Map([clients, clients + HAND_OFFS].map((count) => [count, new Gate()]));
  }

  async run(): Promise<Cost> {
    const desk = await scene.desk(quiet);
    const first = await desk.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const loops: Promise<void>[] = [];
    await repeat(this.#clients, async (client) => {
      loops.push(this.#loop(client));
      // The two replicas know the nodes' time to a millisecond or so: who comes later shall have the later ticket.
      const sinceMs = performance.now();
      while (performance.now() - sinceMs < 2) await new Promise((resolve) => setImmediate(resolve));
    });
    await scene.queued(NAME, this.#clients);
    await desk.release(first);
    const counts = [];
    for (const [count, gate] of this.#gates) {
      await this.#turns.reached(count);
      await scene.queued(NAME, this.#clients - 1);
      counts.push(await scene.scripts());
      this.#over = count > this.#clients;
      gate.open();
    }
    await Promise.all(loops);
    expect(this.#turns.faults).toEqual([]);
    return { scripts: counts[1]! - counts[0]!, crossed: this.#crossed() };
  }

  async #loop(client: number): Promise<void> {
    const seat = this.#seatOf(client);
    while (!this.#over) {
      await seat(this.#turns, String(client), NAME, () => this.#gates.get(this.#turns.order.length)?.opened);
    }
  }

  #seatOf(client: number): Seat {
    return this.#seats[client % this.#seats.length]!;
  }

  #crossed(): number {
    const counted = this.#turns.order.slice(this.#clients - 1, this.#clients + HAND_OFFS).map(Number);
    return counted.slice(1).filter((client, at) => this.#seatOf(client) !== this.#seatOf(counted[at]!))
      .length;
  }
}

/** Newcomers whose joining no hand-off took along before the count ended: a script for each node and replica. */
const lastJoins = (desks: number): number => 3 * desks;

function expectTenAtMost({ scripts, crossed }: Cost): void {
  expect(crossed, 'hand-offs that cross').toBeGreaterThan(HAND_OFFS / 4);
  const most = 10 * crossed + 3 * (HAND_OFFS - crossed) + lastJoins(2);
  expect(scripts, `with ${crossed} of ${HAND_OFFS} hand-offs across`).toBeLessThanOrEqual(most);
}

describe.each([32, 256])('with %i clients who come back at once', (clients) => {
  test('a hand-off within one replica takes three scripts, one for each node', async () => {
    const { scripts } = await new Round([seatAt(await scene.desk(quiet))], clients).run();
    expect(scripts).toBeGreaterThanOrEqual(3 * HAND_OFFS);
    expect(scripts).toBeLessThanOrEqual(3 * HAND_OFFS + lastJoins(1));
  });

  test('a hand-off from one replica to another takes ten at most', async () => {
    expectTenAtMost(await new Round((await scene.desks(2, quiet)).map(seatAt), clients).run());
  });

  test('a hand-off from one process to another takes ten at most, with all else that replicas ask', async () => {
    const replicas = await Promise.all([scene.process(), scene.process()]);
    expectTenAtMost(
      await new Round(
        replicas.map(({ client }) => seatThrough(client)),
        clients,
      ).run(),
    );
  });
});
