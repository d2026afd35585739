/** A cluster of real nodes with several desks, callers that wait there, and what everybody shows of holders and lines. */
import type { Lease } from '../../src/domain/lease.ts';
import type { Refusal } from '../../src/domain/refusals.ts';
import type { AcquireAsk, Busy } from '../../src/locks/locks.ts';
import { Desk, type DeskOptions } from './desk.ts';
import { Nodes } from './nodes.ts';
import { bootstrapped } from './replica.ts';
import { until } from './until.ts';

/** Long, so that no lease ends by itself while a busy machine holds a test up. */
const TTL_MS = 30_000;
const WAIT_MS = 30_000;
/** A place that nobody leaves is swept up after its liveness of 6 s: what takes so long was not left. */
const FORGOTTEN_MS = 4000;

export interface SiteOptions extends DeskOptions {
  /** 3 unless told otherwise. */
  readonly nodes?: number;
  /** 2 unless told otherwise. */
  readonly desks?: number;
}

export type Answered = Lease | Busy | Refusal;

/** One Acquire under way. */
export class Ask {
  readonly answer: Promise<Answered>;
  readonly owner: string;
  /** Undefined while it waits. */
  outcome: Answered | undefined;
  #gone = false;
  #whenGone: (() => void) | undefined;

  constructor(desk: Desk, resources: string | readonly string[], more: Partial<AcquireAsk>) {
    this.owner = more.owner ?? '';
    const caller = {
      principal: '',
      gone: () => this.#gone,
      whenGone: (act: () => void) => {
        this.#whenGone = act;
        return () => {
          this.#whenGone = undefined;
        };
      },
    };
    this.answer = desk.acquire(resources, { ttlMs: TTL_MS, ...more }, caller).then((answered) => {
      this.outcome = answered;
      return answered;
    });
  }

  async lease(): Promise<Lease> {
    const answered = await this.answer;
    if (answered.kind !== 'lease') throw new Error(`${this.owner} got ${JSON.stringify(answered)}`);
    return answered;
  }

  /** The refusal that it ends in. */
  async refusal(): Promise<Refusal> {
    const answered = await this.answer;
    if (answered.kind !== 'refusal') throw new Error(`${this.owner} got a ${answered.kind}`);
    return answered;
  }

  /** As a call that is cancelled. */
  leave(): void {
    this.#gone = true;
    this.#whenGone?.();
  }
}

/** Owners: of holders by their names, of waiters in the order of the line. */
export interface Shown {
  readonly held: readonly string[];
  readonly line: readonly string[];
}

export class Site {
  readonly nodes: Nodes;
  readonly desks: readonly Desk[];

  private constructor(nodes: Nodes, desks: readonly Desk[]) {
    this.nodes = nodes;
    this.desks = desks;
  }

  static async open({ nodes: count = 3, desks: places = 2, ...options }: SiteOptions = {}): Promise<Site> {
    const nodes = await Nodes.start(count);
    await bootstrapped(nodes.list, { HOLDFAST_MAX_TTL: `${TTL_MS}ms`, HOLDFAST_DEFAULT_TTL: `${TTL_MS}ms` });
    return new Site(nodes, await desksOver(nodes.list, places, options));
  }

  /** Asks without waiting. */
  ask(desk: number, resources: string | readonly string[], more: Partial<AcquireAsk> = {}): Ask {
    return new Ask(this.desks[desk]!, resources, more);
  }

  /** Asks and waits. */
  wait(desk: number, resources: string | readonly string[], more: Partial<AcquireAsk> = {}): Ask {
    return this.ask(desk, resources, { waitMs: WAIT_MS, ...more });
  }

  /** Takes it now. */
  lock(desk: number, resources: string | readonly string[], more: Partial<AcquireAsk> = {}): Promise<Lease> {
    return this.ask(desk, resources, more).lease();
  }

  async release(...leases: readonly Lease[]): Promise<void> {
    const freed = await Promise.all(leases.map((lease) => this.desks[0]!.release(lease)));
    if (!freed.every(Boolean)) throw new Error(`not all were there to be released: ${freed.join(', ')}`);
  }

  /** What one desk says of a resource. */
  async shown(resource: string, desk = 0): Promise<Shown> {
    const seen = await this.desks[desk]!.locks.inspect(resource, 0);
    if (seen.kind === 'refusal') return { held: [], line: [] };
    return {
      held: seen.holders.map(({ owner }) => owner).sort(),
      line: seen.waiters.map(({ owner }) => owner),
    };
  }

  /** Resolves once every desk shows the resource so. */
  async becomes(resource: string, expected: Partial<Shown>): Promise<void> {
    const wanted = JSON.stringify(expected);
    let now: Shown[] = [];
    const look = async (): Promise<boolean> => {
      now = await Promise.all(this.desks.map((_, desk) => this.shown(resource, desk)));
      return now.every(
        ({ held, line }) =>
          String(expected.held ?? held) === String(held) && String(expected.line ?? line) === String(line),
      );
    };
    await until(`${resource} is ${wanted}`, look).catch((error: unknown) => {
      throw new Error(`${String(error)}; it is ${JSON.stringify(now)}`);
    });
  }

  /** The values of the readers that one node holds. */
  async readers(node: number, resource: string): Promise<string[]> {
    return (await this.nodes.run(node, 'HKEYS', `holdfast:b:s:${resource}`)) as string[];
  }

  /** Resolves once no node that answers knows of any line or waiter, and no desk of one: soon, or it was forgotten. */
  async nobodyWaits(prefix = ''): Promise<void> {
    let left: string[] = [];
    const look = async (): Promise<boolean> => {
      left = (await Promise.all(this.nodes.servers.map((_, node) => this.#lines(node)))).flat();
      return left.length === 0;
    };
    await until('no line is left at any node', look, FORGOTTEN_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}; there are ${left.join(', ')}`);
    });
    for (const { locks } of this.desks) {
      const page = await locks.list({ prefix, owner: '', pageSize: 1000, after: '' });
      if (page.kind === 'refusal') throw new Error(page.message);
      const queued = page.locks.filter(({ queueLength }) => queueLength > 0);
      if (queued.length > 0) throw new Error(`still in line: ${queued.map(({ resource }) => resource)}`);
    }
  }

  async close(): Promise<void> {
    for (const desk of this.desks) desk.close();
    await this.nodes.close();
  }

  /** Keys of lines, of waiters, and of owners who wait. */
  async #lines(node: number): Promise<string[]> {
    if (this.nodes.servers[node]!.pid === undefined) return [];
    return (await this.nodes.run(node, 'KEYS', 'holdfast:b:[qwo]:*')) as string[];
  }
}

/** Desks over nodes that were bootstrapped by `Site.open`. */
export function desksOver(list: string, count: number, options: DeskOptions = {}): Promise<Desk[]> {
  const opened = { maxTtlMs: TTL_MS, nodeTimeoutMs: 2000, ...options };
  return Promise.all(Array.from({ length: count }, () => Desk.open(list, opened)));
}

/** What was answered so far, in its own order: the tokens tell in which order grants were made. */
export function byToken(leases: readonly Lease[]): string[] {
  return [...leases].sort((a, b) => (a.token < b.token ? -1 : 1)).map(({ owner }) => owner);
}
