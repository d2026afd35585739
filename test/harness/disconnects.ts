/** Streams that end in a way drawn by chance, and for each whether its lock ended by the rule of that way, neither sooner nor later. */
import { BareConnection, type BareHold, type BareSession } from './bare-streams.ts';
import { Cable } from './cable.ts';
import type { TestReplica } from './replica.ts';
import { expireMs, type Lease, span } from './rpc-client.ts';
import { until } from './until.ts';

/** Every way that a client has to end one stream alone... */
const OF_STREAM = ['cancel', 'reset', 'deadline', 'half-close'] as const;
/** ...or all of a connection... */
const OF_CONNECTION = ['destroy', 'rst', 'fin', 'goaway'] as const;
/** ...and the one in which nobody says that anything has ended. */
export const KINDS = [...OF_STREAM, ...OF_CONNECTION, 'silent'] as const;

export interface Disconnect {
  readonly number: number;
  readonly kind: (typeof KINDS)[number];
  readonly stream: 'hold' | 'session';
  readonly state: 'holding' | 'waiting';
  readonly graceMs: number;
  /** Of a reset. */
  readonly code: number;
  /** Of any kind but `deadline` it is far away, or there is none. */
  readonly deadlineMs: number | undefined;
  /** Whether somebody waits for the lock already when it happens, or comes after it. */
  readonly rivalWaits: boolean;
  readonly requestId: string;
}

const FAR_MS = 3_600_000;

/** `chance` is from 0 to 1. */
export function drawn(number: number, chance: () => number): Disconnect {
  const pick = <T>(of: readonly T[]): T => of[Math.floor(chance() * of.length)]!;
  const kind = pick(KINDS);
  return {
    number,
    kind,
    stream: kind === 'half-close' ? 'session' : pick(['hold', 'session']),
    state: pick(['holding', 'holding', 'waiting']),
    graceMs: pick([0, 0, 200, 500]),
    code: Math.floor(chance() * 14),
    deadlineMs: kind === 'deadline' ? 100 + Math.floor(chance() * 500) : pick([undefined, FAR_MS]),
    rivalWaits: chance() < 0.5,
    requestId: chance() < 0.3 ? `request ${number}` : '',
  };
}

/** So long that nothing but the end of its stream can have ended the lease of a client that said so. */
const LONG_TTL_MS = 20_000;
/** Of one that falls silent, so that its expiry can be waited for. */
const SHORT_TTL_MS = 1000;
const WAIT = { seconds: 40 };
/** Clocks are read at different times, and timers are early by a fraction. */
const ROUNDING_MS = 5;
/** Of a busy machine; far below what a lease would last. */
const AT_ONCE_MS = 8000;

export interface Ground {
  readonly replica: TestReplica;
  /** Connections of streams that end alone. */
  readonly shared: readonly BareConnection[];
  /** After so long the replica takes a client for silent. */
  readonly silenceMs: number;
}

type Stream = BareHold | BareSession;

/** All of this is one process: where that was too busy to renew a short lease, its trial says nothing, and is held again. */
class Stalled extends Error {}
const STALLS_MAX = 2;

/** One of them, from the opening of its stream to the proof that its lock has ended. */
export class Trial {
  readonly #ground: Ground;
  readonly #of: Disconnect;
  #resource: string;
  #requestId: string;
  readonly #faults: string[] = [];
  #cable: Cable | undefined;
  #own: BareConnection | undefined;
  #stream!: Stream;
  #openedMs = 0;
  #endedMs = 0;

  constructor(ground: Ground, of: Disconnect) {
    this.#ground = ground;
    this.#of = of;
    this.#resource = `trial/${of.number}`;
    this.#requestId = of.requestId;
  }

  /** What went against the rule; empty when nothing did. */
  async run(): Promise<readonly string[]> {
    let error = await this.#failure();
    for (let stalls = 0; error instanceof Stalled && stalls < STALLS_MAX; stalls += 1) {
      this.#resource += ' again';
      if (this.#requestId !== '') this.#requestId += ' again';
      error = await this.#failure();
    }
    if (error !== undefined) this.#faults.push(String(error));
    return this.#faults.map((fault) => `${JSON.stringify(this.#of)}: ${fault}`);
  }

  get #client() {
    return this.#ground.replica.client;
  }

  /** It ended before it was to. */
  #early(what: string): Error {
    const how = `${what}: ${this.#stream.status} ${this.#stream.detail}`;
    return this.#of.kind === 'silent' ? new Stalled(how) : new Error(how);
  }

  /** What kept the trial from its end. */
  #failure(): Promise<unknown> {
    const trial = this.#of.state === 'holding' ? this.#holding() : this.#waiting();
    const left = () => {
      this.#own?.close();
      this.#cable?.close();
    };
    return trial.catch((error: unknown) => error).finally(left);
  }

  async #holding(): Promise<void> {
    const { kind, rivalWaits } = this.#of;
    await this.#open();
    const granted = await this.#granted();
    if (granted === undefined) {
      if (kind !== 'deadline') throw this.#early('it was never granted');
      await this.#free();
      return;
    }
    const before = rivalWaits ? this.#rival() : undefined;
    if (before !== undefined && kind !== 'deadline') {
      const early = before.then(() => {
        throw this.#early('its rival was granted it first');
      });
      early.catch(() => {});
      await Promise.race([this.#inLine('rival'), early]);
    }
    await this.#disconnect();
    const next = await (before ?? this.#rival());
    await this.#judge(granted, next);
    await this.#client.release(next.lease_id);
  }

  /** Whoever waits and goes is never served, and whoever held goes on holding. */
  async #waiting(): Promise<void> {
    const holder = await this.#client.lock(this.#resource, { owner: 'first', ttl: span(LONG_TTL_MS) });
    await this.#open();
    if (this.#of.kind !== 'deadline') await this.#inLine('victim');
    if (this.#of.kind === 'half-close') this.#stream.halfClose();
    else await this.#disconnect();
    if (this.#of.kind !== 'half-close') await this.#nobodyInLine();
    const { current } = await this.#client.checkToken(this.#resource, holder.fencing_token);
    if (!current) this.#faults.push('the holder lost its lock to one who had gone');
    await this.#client.release(holder.lease_id);
    // What it asked before it closed its half is answered, and then it ends like any other.
    if (this.#of.kind === 'half-close') {
      if ((await this.#granted()) === undefined) this.#faults.push('its wait was not answered');
      await until('the session ends', () => this.#stream.status !== undefined);
      await this.#free();
      return;
    }
    await this.#free();
    const grants = await this.#history('EVENT_TYPE_GRANTED');
    if (grants.length !== 1) this.#faults.push('one who had gone was granted the lock');
  }

  async #open(): Promise<void> {
    const { kind, stream, graceMs, deadlineMs } = this.#of;
    const connection = await this.#connection();
    const ttl = span(kind === 'silent' ? SHORT_TTL_MS : LONG_TTL_MS);
    const asked = { resources: [this.#resource], request_id: this.#requestId };
    const acquire = { ...asked, owner: 'victim', ttl, wait: WAIT };
    const grace = span(graceMs);
    this.#openedMs = Date.now();
    if (stream === 'hold') this.#stream = connection.hold({ acquire, grace }, deadlineMs);
    else {
      const session = connection.openSession(deadlineMs);
      session.ask([{ acquire }], { grace });
      this.#stream = session;
    }
  }

  async #connection(): Promise<BareConnection> {
    const { shared, replica } = this.#ground;
    const { kind, number } = this.#of;
    if ((OF_STREAM as readonly string[]).includes(kind)) return shared[number % shared.length]!;
    let address = replica.replica.addresses[0]!;
    if (kind === 'silent') {
      const [host, port] = address.split(':') as [string, string];
      this.#cable = await Cable.to({ host, port: Number(port) });
      const where = this.#cable.where as { host: string; port: number };
      address = `${where.host}:${where.port}`;
    }
    this.#own = await BareConnection.to(address);
    return this.#own;
  }

  /** Its lease, or undefined when the stream ended without one. */
  async #granted(): Promise<Lease | undefined> {
    const look = () =>
      this.#told() ?? (this.#stream.status !== undefined || this.#stream.closed ? 'over' : undefined);
    const seen = await until(`${this.#resource} is granted`, look, 40_000);
    return seen === 'over' ? undefined : seen;
  }

  /** What it was last told of its lease. */
  #told(): Lease | undefined {
    if (this.#of.stream === 'hold') return (this.#stream as BareHold).lease ?? undefined;
    const { results, events } = this.#stream as BareSession;
    return (events.flatMap(({ renewed }) => renewed ?? []).at(-1) ?? results[0]?.acquire?.lease) || undefined;
  }

  async #disconnect(): Promise<void> {
    this.#endedMs = Date.now();
    const { kind, code } = this.#of;
    if (kind === 'cancel') this.#stream.reset(8);
    else if (kind === 'reset') this.#stream.reset(code);
    else if (kind === 'half-close') this.#stream.halfClose();
    else if (kind === 'destroy') this.#own!.socket.destroy();
    else if (kind === 'rst') this.#own!.socket.resetAndDestroy();
    else if (kind === 'fin') this.#own!.socket.end();
    else if (kind === 'goaway') this.#own!.session.goaway(2);
    else if (kind === 'silent') {
      this.#cable!.cut('in');
      this.#cable!.cut('out');
    } else {
      this.#endedMs = this.#openedMs + this.#of.deadlineMs!;
      await until('its deadline has passed', () => this.#stream.status !== undefined || this.#stream.closed);
    }
  }

  #rival(): Promise<Lease> {
    const lease = this.#client.lock(this.#resource, { owner: 'rival', ttl: span(LONG_TTL_MS), wait: WAIT });
    lease.catch(() => {});
    return lease;
  }

  /** When the next one was granted it, and how the nodes say that the victim's lease ended. */
  async #judge(granted: Lease, next: Lease): Promise<void> {
    const { kind, graceMs } = this.#of;
    const told = this.#told() ?? granted;
    const takenMs = Number(next.acquire_time!.seconds) * 1000 + next.acquire_time!.nanos / 1e6;
    const ends = (await this.#history()).filter(
      ({ lease_ref, type }) =>
        lease_ref === granted.lease_ref && type !== 'EVENT_TYPE_GRANTED' && type !== 'EVENT_TYPE_RENEWED',
    );
    const how = ends.map(({ type }) => type).join();
    if (kind === 'silent') {
      if (how !== 'EVENT_TYPE_EXPIRED') this.#faults.push(`a silent one ended by ${how}`);
      const overMs = expireMs(told) - takenMs;
      if (overMs > 0) this.#faults.push(`granted on ${overMs} ms before its promise was over`);
      const mostMs = this.#ground.silenceMs + SHORT_TTL_MS + AT_ONCE_MS;
      if (takenMs - this.#endedMs > mostMs)
        this.#faults.push(`granted on ${takenMs - this.#endedMs} ms after`);
      return;
    }
    const end = ends[0];
    if (how !== 'EVENT_TYPE_RELEASED' || end === undefined) {
      this.#faults.push(`a closed one ended by ${how}`);
      return;
    }
    const releasedMs = Number(end.time!.seconds) * 1000 + end.time!.nanos / 1e6;
    const afterMs = releasedMs - this.#endedMs - graceMs;
    if (afterMs < -ROUNDING_MS) this.#faults.push(`released ${-afterMs} ms before its grace was over`);
    if (afterMs > AT_ONCE_MS) this.#faults.push(`released ${afterMs} ms late`);
  }

  async #history(type?: string) {
    const { history } = await this.#client.inspect(this.#resource, 1000);
    return history.filter((event) => type === undefined || event.type === type);
  }

  #inLine(owner: string): Promise<unknown> {
    return until(`${owner} stands in line for ${this.#resource}`, async () => {
      if (this.#stream.closed) throw this.#early('it ended');
      const { waiters } = await this.#client.inspect(this.#resource);
      return waiters.some((waiter) => waiter.owner === owner);
    });
  }

  #nobodyInLine(): Promise<unknown> {
    return until(`nobody waits for ${this.#resource}`, async () => {
      const { waiters } = await this.#client.inspect(this.#resource);
      return waiters.length === 0;
    });
  }

  #free(): Promise<unknown> {
    return until(`nobody has ${this.#resource}`, async () => {
      const seen = await this.#client.inspect(this.#resource).catch(() => undefined);
      return seen === undefined || (seen.state === 'STATE_FREE' && seen.waiters.length === 0);
    });
  }
}
