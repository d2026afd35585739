/** Deadlock detection where it is hard: waits that close a cycle together, nodes that die, and no cycle at all. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { SeededRandom } from '../../src/std/random.ts';
import { Site, type SiteOptions } from '../harness/site.ts';
import { repeat, until } from '../harness/until.ts';

/** Places are taken anew three times as often, and whoever does is checked for cycles: every 500 ms. */
const waiting = { livenessMs: 1500 };
let site: Site;

async function open(options: SiteOptions = {}): Promise<void> {
  site = await Site.open({ desks: 3, ...options });
}
afterEach(async () => {
  await site.close();
});

function hold(holds: Readonly<Record<string, string>>): Promise<Lease[]> {
  return Promise.all(Object.entries(holds).map(([owner, name], at) => site.lock(at % 3, name, { owner })));
}

async function everyNodeHolds(...resources: readonly string[]): Promise<boolean> {
  const { votes } = site.desks[0]!.quorum;
  const look = (resource: string) => votes.all({ kind: 'look', resource, history: 0, line: 0 });
  const answers = (await Promise.all(resources.map(look))).flat();
  return answers.every((answer) => answer.kind === 'seen' && answer.view?.holder !== undefined);
}

describe('waits that close a cycle at the same moment', () => {
  test('of two end with exactly one victim, and the other is served, 15 times', async () => {
    await open({ waiting });
    await repeat(15, async (round) => {
      const [a, b] = [`a${round}`, `b${round}`];
      const leases = await hold({ w1: a, w2: b });
      const asks = [site.wait(0, b, { owner: 'w1' }), site.wait(1, a, { owner: 'w2' })] as const;
      const victim = await Promise.race(asks.map(async (ask, at) => ({ at, answered: await ask.answer })));
      expect(victim.answered).toMatchObject({
        kind: 'refusal',
        reason: 'DEADLOCK',
        metadata: { links: '2' },
      });
      const other = asks[1 - victim.at]!;
      expect(other.outcome).toBeUndefined();
      await site.release(leases[victim.at]!);
      await site.release(await other.lease(), leases[1 - victim.at]!);
    });
    await site.nobodyWaits();
  });

  test('of three over three replicas end with exactly one victim, 5 times', async () => {
    await open({ waiting });
    await repeat(5, async (round) => {
      const names = ['a', 'b', 'c'].map((name) => `${name}${round}`) as [string, string, string];
      const leases = await hold({ w0: names[0], w1: names[1], w2: names[2] });
      const asks = [0, 1, 2].map((at) => site.wait(at, names[(at + 1) % 3]!, { owner: `w${at}` }));
      const victim = await Promise.race(asks.map(async (ask, at) => ({ at, answered: await ask.answer })));
      expect(victim.answered).toMatchObject({
        kind: 'refusal',
        reason: 'DEADLOCK',
        metadata: { links: '3' },
      });
      await site.release(leases[victim.at]!);
      // Whoever waited for the victim goes on, then whoever waited for that one.
      const [next, last] = [(victim.at + 2) % 3, (victim.at + 1) % 3];
      await site.release(await asks[next]!.lease(), leases[next]!);
      await site.release(await asks[last]!.lease(), leases[last]!);
    });
    await site.nobodyWaits();
  });
});

describe('with a node killed', () => {
  test('a cycle is found by the two that are left', async () => {
    await open({ waiting });
    await site.nodes.servers[1]!.kill('SIGKILL');
    const [, second] = (await hold({ w1: 'a', w2: 'b' })) as [Lease, Lease];
    const first = site.wait(0, 'b', { owner: 'w1' });
    await site.becomes('b', { line: ['w1'] });
    const refusal = await site.wait(2, 'a', { owner: 'w2' }).refusal();
    expect(refusal).toMatchObject({ reason: 'DEADLOCK', metadata: { cycle: 'w2 -> a -> w1 -> b -> w2' } });
    expect(first.outcome).toBeUndefined();
    await site.release(second);
    expect((await first.lease()).owner).toBe('w1');
  });

  test('while the cycle stands open, it is closed and found all the same', async () => {
    await open({ waiting });
    await hold({ w1: 'a', w2: 'b', w3: 'c' });
    // A majority is enough for a grant, and a waiter's own attempt may keep the third node from ever hearing of it: then
    // the lease stands at one node when another dies, and nobody can prove it any more.
    await until('every node has every lease', () => everyNodeHolds('a', 'b', 'c'));
    const asks = [site.wait(0, 'b', { owner: 'w1' }), site.wait(1, 'c', { owner: 'w2' })];
    await site.becomes('b', { line: ['w1'] });
    await site.becomes('c', { line: ['w2'] });
    await site.nodes.servers[0]!.kill('SIGKILL');
    const refusal = await site.wait(2, 'a', { owner: 'w3' }).refusal();
    expect(refusal.metadata.cycle).toBe('w3 -> a -> w1 -> b -> w2 -> c -> w3');
    expect(asks.map(({ outcome }) => outcome)).toEqual([undefined, undefined]);
  });
});

describe('where there is no cycle', () => {
  const names = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5'];
  let refused: string[] = [];
  let waits = 0;

  /** Takes some of the names one after the other in their order, so that no cycle can be. */
  async function climb(at: number, random: SeededRandom): Promise<void> {
    const owner = `w${at}`;
    const held: Lease[] = [];
    let rest = names.filter(() => random.fraction() < 0.7);
    while (rest.length > 0 && held.length < 3) {
      const mode = random.fraction() < 0.3 ? ('shared' as const) : ('exclusive' as const);
      const several = random.fraction() < 0.3 && rest.length > 1;
      const asked = rest.slice(0, several ? 2 : 1);
      const answer = await site.wait(at % 3, asked, { owner, mode, any: several ? 1 : 0 }).answer;
      waits += 1;
      if (answer.kind === 'lease') held.push(answer);
      else refused.push(JSON.stringify(answer));
      const last = held.at(-1)?.resources[0] ?? '';
      rest = rest.filter((name) => name > last && !asked.includes(name));
    }
    await site.release(...held);
  }

  test('200 random waits in the order of the names are all served, and none is called a deadlock', async () => {
    await open();
    [refused, waits] = [[], 0];
    const climber = async (at: number): Promise<void> => {
      const random = new SeededRandom(at + 1);
      while (waits < 200) await climb(at, random);
    };
    await Promise.all(Array.from({ length: 9 }, (_, at) => climber(at)));
    expect(refused).toEqual([]);
    expect(waits).toBeGreaterThanOrEqual(200);
    await site.nobodyWaits();
  });

  test('a hundred hand-overs between owners that hold something else are no deadlock', async () => {
    await open();
    const kept = await hold({ w0: 'k0', w1: 'k1', w2: 'k2' });
    const passer = (at: number) =>
      repeat(34, async () => {
        // It holds its own and waits for what the others hold in turn: each of them waits, too, but not for its own.
        await site.release(await site.wait(at, 'baton', { owner: `w${at}` }).lease());
      });
    await Promise.all([0, 1, 2].map(passer));
    await site.release(...kept);
    await site.nobodyWaits();
  });
});
