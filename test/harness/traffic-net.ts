/** Owners who take and return locks through several replicas, and the history of what they saw; for runs with a broken network. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ServiceError } from '@grpc/grpc-js';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import { check, tally } from './history/check.ts';
import type { Asked, Entry, Fault, Held, Violation } from './history/history.ts';
import type { Nodes } from './nodes.ts';
import { type Lease, type RpcClient, refusedBy, span } from './rpc-client.ts';
import { until } from './until.ts';

const nowMs = (): number => performance.now();
/** A run in which this process itself stood still for so long says nothing. */
const LAG_MS_MAX = 1000;
/** More than the deadline of a call may be late by. */
const ANSWER_MS = 3000;
const BOTH = ['fenced', 'twin'] as const;

export interface TrafficOptions {
  /** The replica that an owner goes to, by its number and by how often it was turned away. */
  readonly client: (owner: number, tried: number) => RpcClient;
  readonly resources: readonly string[];
  readonly owners: number;
  readonly ttlMs: number;
  readonly waitMs: number;
  /** Any so many of the resources; absent: one of them each time, in turn. */
  readonly any?: number;
}

interface Read {
  readonly of: { value: string; token: bigint };
  readonly register: (typeof BOTH)[number];
  readonly resource: string;
  readonly read: string;
  readonly stale: boolean;
}

export class Traffic {
  readonly entries: Entry[] = [];
  granted = 0;
  /** How many held at the same moment at most, as they counted. */
  mostAtOnce = 0;
  #now = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();
  readonly #options: TrafficOptions;
  readonly #lag = monitorEventLoopDelay({ resolution: 10 });
  /** What lies under each lock, once with the token checked and once not. */
  readonly #registers = new Map<string, { value: string; token: bigint }>();

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lag.enable();
    const owners = Array.from({ length: this.#options.owners }, (_, owner) => this.#work(owner));
    this.#running = Promise.all(owners);
    // Whoever awaits the end hears of it.
    this.#running.catch(() => {});
  }

  /** Resolves after so many more grants. */
  async grants(more: number, withinMs?: number): Promise<void> {
    const goal = this.granted + more;
    await until(`${more} more grants`, () => this.granted >= goal, withinMs);
  }

  fault(name: string, where: string): void {
    this.entries.push({ kind: 'fault', name, where, atMs: nowMs() } satisfies Fault);
  }

  /** All faults are over; resolves when every resource was granted once more. */
  async healed(withinMs: number): Promise<void> {
    const atMs = nowMs();
    this.entries.push({ kind: 'healed', atMs, aliveByMs: atMs + withinMs });
    const { resources } = this.#options;
    const alive = (name: string): boolean =>
      this.entries.some(
        (entry) => entry.kind === 'held' && entry.fromMs > atMs && entry.resources.includes(name),
      );
    await until('every resource is granted after the heal', () => resources.every(alive), withinMs);
  }

  /** Ends the run, and looks at what the nodes are left with: nothing. Throws if the run says nothing. */
  async end(nodes: Nodes, leastGrants: number): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#lag.disable();
    for (const resource of this.#options.resources) {
      await nodes.free(resource);
      this.entries.push({ kind: 'rest', resource, atMs: nowMs(), leaseRefs: [], waiters: [] });
    }
    const lagMs = this.#lag.max / 1e6;
    if (lagMs > LAG_MS_MAX) throw new Error(`INVALID RUN: this process stood still for ${lagMs} ms`);
    if (this.granted < leastGrants)
      throw new Error(`INVALID RUN: only ${this.granted} grants, not ${leastGrants}`);
  }

  violations(): readonly Violation[] {
    return check(this.entries);
  }

  get twinLost(): number {
    return tally(this.entries).twinLost;
  }

  async #work(owner: number): Promise<void> {
    const { resources, any: some, ttlMs, waitMs } = this.#options;
    for (let round = 0; !this.#stopped; round += 1) {
      const name = resources[(owner + round) % resources.length]!;
      const request = {
        resources: some === undefined ? [name] : [...resources],
        any: some ?? 0,
        owner: `owner ${owner}`,
        ttl: span(ttlMs),
        wait: span(waitMs),
        request_id: `${owner} ${round} ${performance.timeOrigin}`,
      };
      for (let tried = 0; tried < 3 && !this.#stopped; tried += 1) {
        const client = this.#options.client(owner, tried);
        const got = await this.#acquire(client, owner, request);
        if (got === 'again') continue;
        if (got !== undefined) await this.#hold(client, owner, got.lease, got.calledMs);
        break;
      }
    }
  }

  async #acquire(
    client: RpcClient,
    owner: number,
    request: AcquireRequest & { resources: string[]; owner: string; request_id: string },
  ): Promise<{ lease: Lease; calledMs: number } | 'again' | undefined> {
    const { ttlMs, waitMs, any: some = 0 } = this.#options;
    const asked = {
      kind: 'acquire',
      client: `client ${owner}`,
      owner: request.owner,
      resources: request.resources,
      mode: 'exclusive',
      any: some,
      priority: 0,
      requestId: request.request_id,
      waits: waitMs > 0,
      calledMs: nowMs(),
    } as const;
    const say = (more: Pick<Asked, 'outcome'> & Partial<Asked>) =>
      this.entries.push({ ...asked, answeredMs: nowMs(), ...more });
    try {
      const { lease } = await client.acquire(request, {
        deadline: Date.now() + waitMs + ttlMs + ANSWER_MS,
      });
      if (!lease) {
        say({ outcome: 'busy' });
        return undefined;
      }
      const { lease_ref: leaseRef, fencing_token, resources, replayed } = lease;
      say({ outcome: 'granted', grant: { leaseRef, token: BigInt(fencing_token), resources, replayed } });
      return { lease, calledMs: asked.calledMs };
    } catch (error) {
      if ((error as Partial<ServiceError>).metadata === undefined) throw error;
      const { code, reason } = refusedBy(error as ServiceError);
      const open = reason === 'NO_QUORUM' || reason === '';
      say({ outcome: open ? 'unknown' : 'refused', reason: reason === '' ? `code ${code}` : reason });
      return open ? 'again' : undefined;
    }
  }

  /** Reads, renews, writes without a further look at the clock, and lets go. */
  async #hold(client: RpcClient, owner: number, lease: Lease, askedMs: number): Promise<void> {
    const { lease_ref: leaseRef, resources, fencing_token } = lease;
    const token = BigInt(fencing_token);
    const who = { client: `client ${owner}`, owner: `owner ${owner}` };
    // Of a replayed lease nobody knows here when it was promised.
    const fromMs = nowMs();
    const countMs = lease.replayed ? fromMs : askedMs + this.#options.ttlMs * 0.99 - 2;
    this.granted += 1;
    this.#now += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#now);
    const reads = BOTH.flatMap((register) =>
      resources.map((resource) => this.#read(register, resource, token)),
    );
    await this.#renew(client, owner, lease);
    for (const read of reads) this.#write(read, who.client, token);
    const releaseMs = nowMs();
    this.#now -= 1;
    const held = { ...who, leaseRef, token, resources, mode: 'exclusive', fromMs } as const;
    const expired = countMs < releaseMs;
    this.entries.push({
      kind: 'held',
      ...held,
      untilMs: Math.max(fromMs, Math.min(countMs, releaseMs)),
      end: expired ? 'expired' : 'released',
    } satisfies Held);
    const released = await client.release(lease.lease_id).then(
      (was) => (was ? 'released' : 'gone'),
      () => 'unknown',
    );
    const calledMs = releaseMs;
    this.entries.push({
      kind: 'release',
      client: who.client,
      leaseRef,
      calledMs,
      answeredMs: nowMs(),
      outcome: released as 'released' | 'gone' | 'unknown',
    });
  }

  async #renew(client: RpcClient, owner: number, { lease_id, lease_ref }: Lease): Promise<void> {
    const calledMs = nowMs();
    const outcome = await client.heartbeat(lease_id).then(
      () => 'renewed',
      (error: ServiceError) => (refusedBy(error).reason === 'LEASE_LOST' ? 'lost' : 'unknown'),
    );
    this.entries.push({
      kind: 'renew',
      client: `client ${owner}`,
      leaseRef: lease_ref,
      calledMs,
      answeredMs: nowMs(),
      outcome: outcome as 'renewed' | 'lost' | 'unknown',
    });
  }

  #read(register: (typeof BOTH)[number], resource: string, token: bigint): Read {
    const key = `${register} ${resource}`;
    const of = this.#registers.get(key) ?? { value: '', token: 0n };
    this.#registers.set(key, of);
    // Reading installs the token: from here on an older one is refused.
    const stale = register === 'fenced' && token < of.token;
    if (!stale && register === 'fenced') of.token = token;
    return { of, register, resource, read: of.value, stale };
  }

  #write({ of, register, resource, read, stale }: Read, client: string, token: bigint): void {
    const calledMs = nowMs();
    const wrote = `${token}`;
    const refused = stale || (register === 'fenced' && token < of.token);
    if (!refused) of.value = wrote;
    const outcome = refused ? 'stale' : 'written';
    this.entries.push({
      kind: 'write',
      client,
      resource,
      register,
      token,
      read,
      wrote,
      calledMs,
      answeredMs: nowMs(),
      outcome,
    });
  }
}
