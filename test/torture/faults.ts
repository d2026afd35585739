/** Injects what was planned, writes down what was injected, and takes all of it back. */
import type { Fault as Noted } from '../harness/history/history.ts';
import type { Link } from '../harness/link.ts';
import { nowMs, pause } from '../harness/pace.ts';
import { Dice } from '../sim/dice.ts';
import type { Fleet } from './fleet.ts';
import type { Fault, Planned } from './plan.ts';
import type { Site } from './site.ts';

/** How often it is asked whether all nodes vote again, before one may lose its memory. */
const ASK_MS = 50;
const FLAP_MS: readonly [number, number] = [20, 150];
const DELAY_MS: readonly [number, number] = [1, 200];

type Named<Name extends Fault['name']> = Extract<Fault, { readonly name: Name }>;

export class Injector {
  readonly noted: Noted[] = [];
  readonly #site: Site;
  readonly #fleet: Fleet;
  readonly #dice: Dice;
  /** Ends every fault that is under way. */
  readonly #over = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** Servers, replicas, clients and links that a fault has in its hands. */
  readonly #taken = new Set<unknown>();
  #memory: Promise<void> = Promise.resolve();

  constructor(site: Site, fleet: Fleet, seed: number) {
    this.#site = site;
    this.#fleet = fleet;
    this.#dice = new Dice(seed);
  }

  /** Until the last of them has begun. */
  async inject(plan: readonly Planned[]): Promise<void> {
    const beganMs = nowMs();
    for (const { atMs, fault } of plan) {
      await pause(beganMs + atMs - nowMs());
      const run = this.#inject(fault).finally(() => this.#running.delete(run));
      this.#running.add(run);
    }
  }

  /** Everything is as it was before, but for clocks, which go on from where they are. */
  async heal(): Promise<void> {
    this.#over.abort();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #inject(fault: Fault): Promise<void> {
    switch (fault.name) {
      case 'link flapping':
        return this.#links([this.#link(fault)], fault.name, place(fault), (links) =>
          this.#flap(links, fault.forMs),
        );
      case 'node cut off':
        return this.#cut(
          this.#site.links.map((way) => way[fault.node]!),
          fault,
          `node ${fault.node + 1}`,
        );
      case 'replica cut off':
        return this.#cut([...this.#site.links[fault.way]!], fault, `way ${fault.way + 1}`);
      case 'memory lost':
        return this.#loseMemory(fault);
      case 'rolling restart':
        return this.#roll(fault);
      case 'replica stopped':
      case 'replica kill -9':
      case 'replica SIGTERM':
        return this.#onReplica(fault);
      case 'client stopped':
      case 'client kill -9':
        return this.#onClient(fault);
      default:
        if ('way' in fault) return this.#onLink(fault);
        return this.#onNode(fault);
    }
  }

  /** `act` has `what` for itself, or does not take place. */
  async #with(what: readonly unknown[], name: string, where: string, act: () => Promise<unknown>) {
    if (this.#over.signal.aborted || what.some((one) => this.#taken.has(one))) return;
    for (const one of what) this.#taken.add(one);
    const atMs = nowMs();
    try {
      const told = await act();
      const said = typeof told === 'string' ? told : name;
      this.noted.push({ kind: 'fault', name: said, where, atMs, untilMs: nowMs() });
    } finally {
      for (const one of what) this.#taken.delete(one);
    }
  }

  #link({ way, node }: { readonly way: number; readonly node: number }): Link {
    return this.#site.links[way]![node]!;
  }

  /** Those of them that no other fault has. */
  async #links(
    links: readonly Link[],
    name: string,
    where: string,
    act: (links: readonly Link[]) => Promise<void>,
  ): Promise<void> {
    const free = links.filter((link) => !this.#taken.has(link));
    if (free.length > 0) await this.#with(free, name, where, () => act(free));
  }

  #cut(links: readonly Link[], { name, forMs }: { name: string; forMs: number }, where: string) {
    return this.#links(links, name, where, async (free) => {
      for (const link of free) link.cut();
      await this.#for(forMs);
      for (const link of free) link.mend();
    });
  }

  async #flap(links: readonly Link[], forMs: number): Promise<void> {
    const endMs = nowMs() + forMs;
    while (nowMs() < endMs && !this.#over.signal.aborted) {
      for (const link of links) link.cut();
      await this.#for(this.#dice.spread(...FLAP_MS));
      for (const link of links) link.mend();
      await this.#for(this.#dice.spread(...FLAP_MS));
    }
  }

  #onLink(fault: Extract<Fault, { readonly way: number; readonly node: number }>): Promise<void> {
    return this.#links([this.#link(fault)], fault.name, place(fault), async ([link]) => {
      if (link === undefined) return;
      if (fault.name === 'link cut') link.cut();
      else if (fault.name === 'link delayed') link.delayMs = () => this.#dice.spread(...DELAY_MS);
      else {
        const direction = fault.name.endsWith('back') ? 'out' : 'in';
        if (fault.name.startsWith('link held')) link.hold(direction);
        else link.swallow(direction);
      }
      await this.#for(fault.forMs);
      link.delayMs = () => 0;
      link.flow();
      link.mend();
    });
  }

  async #onNode(fault: Extract<Fault, { readonly node: number; readonly name: `node ${string}` }>) {
    const { nodes } = this.#site;
    // Without a file that is written before each answer, a death is a loss of memory, which has its own turn.
    const durable = nodes.servers.findIndex((_, node) => this.#site.memory(node) === 'always');
    const node = fault.name === 'node kill -9' ? durable : fault.node;
    const server = nodes.servers[node]!;
    const tell = async (...words: readonly [string, ...string[]]): Promise<void> => {
      await nodes.run(node, ...words).catch(() => {});
    };
    await this.#with([server], fault.name, `node ${node + 1}`, async () => {
      switch (fault.name) {
        case 'node stopped':
          server.pause();
          await this.#for(fault.forMs);
          return server.resume();
        case 'node kill -9':
          await server.kill('SIGKILL');
          await this.#for(fault.forMs);
          return void (await server.start());
        case 'node asleep':
          return tell('DEBUG', 'SLEEP', String(fault.forMs / 1000));
        case 'node connections killed':
          return tell('CLIENT', 'KILL', 'TYPE', 'normal');
        case 'node clients paused':
          await tell('CLIENT', 'PAUSE', String(fault.forMs), this.#dice.chance(0.5) ? 'WRITE' : 'ALL');
          return this.#for(fault.forMs);
        case 'node clock':
          this.#site.stepClock(node, fault.stepMs);
          return fault.stepMs > 0 ? FORWARDS : 'node clock back';
      }
    });
  }

  /** One after the other, each when all nodes vote. */
  #loseMemory({ node, part, forMs }: Named<'memory lost'>): Promise<void> {
    this.#memory = this.#memory.then(async () => {
      const { signal } = this.#over;
      const server = this.#site.nodes.servers[node]!;
      while (!signal.aborted) {
        if (!this.#taken.has(server) && (await this.#site.allVote())) {
          const lose = () => this.#site.loseMemory(node, part, forMs, signal);
          return this.#with([server], 'memory lost', `node ${node + 1}`, lose);
        }
        await pause(ASK_MS, signal);
      }
    });
    return this.#memory;
  }

  async #onReplica(fault: Named<'replica stopped' | 'replica kill -9' | 'replica SIGTERM'>): Promise<void> {
    const { way, name, forMs } = fault;
    if (this.#site.options.subject !== 'holdfast') return;
    await this.#with([`replica ${way}`], name, `replica ${way + 1}`, async () => {
      if (name === 'replica stopped') {
        this.#site.signalReplica(way, 'SIGSTOP');
        await this.#for(forMs);
        this.#site.signalReplica(way, 'SIGCONT');
      } else {
        await this.#restart(way, name === 'replica SIGTERM' ? 'SIGTERM' : 'SIGKILL', forMs);
      }
    });
  }

  async #roll({ name }: Named<'rolling restart'>): Promise<void> {
    const { ways, subject } = this.#site.options;
    if (subject !== 'holdfast') return;
    const all = Array.from({ length: ways }, (_, way) => way);
    await this.#with(
      all.map((way) => `replica ${way}`),
      name,
      'replicas',
      async () => {
        for (const way of all) await this.#restart(way, 'SIGTERM', 0);
      },
    );
  }

  async #restart(way: number, signal: 'SIGTERM' | 'SIGKILL', forMs: number): Promise<void> {
    const how = await this.#site.endReplica(way, signal);
    // Drained, it has ended well.
    if (signal === 'SIGTERM' && how !== 0) this.#site.crashes.push(`replica ${way + 1} drained with ${how}`);
    await this.#for(forMs);
    await this.#site.startReplica(way);
  }

  async #onClient(fault: Named<'client stopped' | 'client kill -9'>): Promise<void> {
    const { client, name } = fault;
    await this.#with([`client ${client}`], name, `client ${client + 1}`, () =>
      fault.name === 'client stopped'
        ? this.#fleet.stop(client, fault.forMs, this.#over.signal)
        : this.#fleet.kill(client),
    );
  }

  #for(ms: number): Promise<void> {
    return pause(ms, this.#over.signal);
  }
}

/** The one fault that excuses an overlap (docs/guarantees.md, G1). */
export const FORWARDS = 'node clock forwards';

function place({ way, node }: { readonly way: number; readonly node: number }): string {
  return `way ${way + 1} to node ${node + 1}`;
}
