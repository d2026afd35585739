/** Replicas that are restarted one after the other, and clients that go elsewhere as they are told. */
import type { ServiceError } from '@grpc/grpc-js';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import { endOf, HoldStream, SessionStream } from './lock-streams.ts';
import type { ReplicaProcess } from './replica.ts';
import type { Lease, Refused, RpcClient } from './rpc-client.ts';
import { until } from './until.ts';

/** More than there are replicas, several times over: whoever needs so many is refused everywhere. */
const TRIES = 20;
const WAIT_MS = 60_000;

/** Those that serve now, asked in turn. */
export class Fleet {
  readonly #start: () => Promise<ReplicaProcess>;
  readonly #serving: ReplicaProcess[];
  #turn = 0;

  private constructor(start: () => Promise<ReplicaProcess>, serving: ReplicaProcess[]) {
    this.#start = start;
    this.#serving = serving;
  }

  static async of(count: number, start: () => Promise<ReplicaProcess>): Promise<Fleet> {
    return new Fleet(start, await Promise.all(Array.from({ length: count }, start)));
  }

  get some(): ReplicaProcess {
    this.#turn += 1;
    return this.#serving[this.#turn % this.#serving.length]!;
  }

  /** The oldest one drains, or dies, ends, and is replaced; the result is its exit code and what it wrote. */
  async restart(
    signal: NodeJS.Signals = 'SIGTERM',
  ): Promise<{ ended: number | NodeJS.Signals | null; output: string }> {
    const oldest = this.#serving.shift()!;
    oldest.signal(signal);
    const ended = await oldest.ended();
    this.#serving.push(await this.#start());
    return { ended, output: oldest.output };
  }

  /** Asks until one answers that does not shut down. */
  async ask<Answer>(act: (client: RpcClient) => Promise<Answer>): Promise<Answer> {
    for (let tried = 1; ; tried += 1) {
      const { client } = this.some;
      try {
        return await act(client);
      } catch (error) {
        if ((error as Partial<ServiceError>).metadata === undefined) throw error;
        if (tried >= TRIES || !isMoving(endOf(error as ServiceError))) throw error;
      }
    }
  }
}

/** The replica shuts down, or has. */
function isMoving({ code, reason }: Refused): boolean {
  return code === 14 && (reason === 'DRAINING' || reason === '');
}

/** One lock, held by a Hold that is resumed elsewhere whenever its replica goes. */
export class MovingHold {
  readonly tokens = new Set<string>();
  /** How often it has moved. */
  moves = 0;
  /** Everything that may not be. */
  readonly faults: string[] = [];
  readonly #fleet: Fleet;
  readonly #leavesFirst: boolean;
  #stream!: HoldStream;
  #lease!: Lease;
  #over = false;

  private constructor(fleet: Fleet, leavesFirst: boolean) {
    this.#fleet = fleet;
    this.#leavesFirst = leavesFirst;
  }

  /**
   * Waits for the lock, and repeats the request elsewhere where it has to. One that `leavesFirst` ends its stream before
   * it resumes the lease.
   */
  static async acquire(fleet: Fleet, request: AcquireRequest, leavesFirst = false): Promise<MovingHold> {
    const moving = new MovingHold(fleet, leavesFirst);
    for (let tried = 1; ; tried += 1) {
      const stream = new HoldStream(fleet.some.address, { acquire: request });
      if (await stream.decided(WAIT_MS)) {
        moving.#keep(stream);
        return moving;
      }
      const { ended } = stream;
      if (tried >= TRIES || ended === 'OK' || !isMoving(ended!)) {
        throw new Error(`${request.owner} was not granted: ${JSON.stringify(ended)}`);
      }
    }
  }

  get lease(): Lease {
    return this.#lease;
  }

  letGo(): void {
    this.#over = true;
    this.#stream.cancel();
  }

  #keep(stream: HoldStream): void {
    this.#stream = stream;
    this.#lease = stream.of('granted')[0]!;
    this.tokens.add(this.#lease.fencing_token);
    let left = false;
    const leave = () => {
      if (left || this.#over || this.#stream !== stream) return;
      left = true;
      void this.#move(stream);
    };
    stream.onEvent = ({ event }) => {
      if (event === 'draining') leave();
      else if (event !== 'renewed') this.faults.push(`was told ${event}`);
    };
    stream.onEnd = leave;
    if (stream.of('draining').length > 0 || stream.ended !== undefined) leave();
  }

  async #move(old: HoldStream): Promise<void> {
    if (this.#leavesFirst) {
      old.cancel();
      await until('it has left', () => old.ended);
    }
    for (let tried = 1; tried <= TRIES; tried += 1) {
      const next = HoldStream.resume(this.#fleet.some.address, this.#lease);
      if (await next.decided()) {
        this.moves += 1;
        this.#keep(next);
        if (this.#over) next.cancel();
        old.cancel();
        return;
      }
      if (next.ended === 'OK' || !isMoving(next.ended!)) {
        this.faults.push(`could not resume: ${JSON.stringify(next.ended)}`);
        return;
      }
    }
    this.faults.push('was refused everywhere');
  }
}

/** Many locks, kept by a Session whose leases are resumed elsewhere, all in one message, whenever its replica goes. */
export class MovingSession {
  readonly faults: string[] = [];
  moves = 0;
  leases: readonly Lease[] = [];
  readonly #fleet: Fleet;
  #stream!: SessionStream;
  #over = false;

  private constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  static async acquire(fleet: Fleet, names: readonly string[], more: AcquireRequest): Promise<MovingSession> {
    const moving = new MovingSession(fleet);
    const stream = new SessionStream(fleet.some.address);
    moving.leases = await Promise.all(names.map((name) => stream.lock(name, more)));
    moving.#keep(stream);
    return moving;
  }

  letGo(): void {
    this.#over = true;
    this.#stream.halfClose();
  }

  #keep(stream: SessionStream): void {
    this.#stream = stream;
    void this.#watch(stream);
  }

  async #watch(stream: SessionStream): Promise<void> {
    const told = () =>
      this.#over || stream.ended !== undefined || stream.of('draining').length + stream.of('lost').length > 0;
    await until('its replica goes', told, WAIT_MS);
    this.faults.push(...stream.of('lost').map(({ lost }) => `was told lost: ${JSON.stringify(lost)}`));
    if (!this.#over) await this.#move(stream);
  }

  async #move(old: SessionStream): Promise<void> {
    for (let tried = 1; tried <= TRIES; tried += 1) {
      const next = new SessionStream(this.#fleet.some.address);
      try {
        const seqs = next.ask(this.leases.map(({ lease_id }) => ({ resume: { lease_id } })));
        const results = await Promise.all(seqs.map((seq) => next.result(seq)));
        const refused = results.flatMap(({ error }) => (error == null ? [] : [error]));
        if (refused.some(({ reason }) => reason === 'DRAINING')) continue;
        this.faults.push(...refused.map((error) => `could not resume: ${JSON.stringify(error)}`));
        const tokens = results.map(({ resume }) => resume?.fencing_token);
        if (tokens.join() !== this.leases.map(({ fencing_token }) => fencing_token).join()) {
          this.faults.push(`resumed other tokens: ${tokens.join()}`);
        }
      } catch {
        // The stream has ended without an answer: its replica has gone, too.
        continue;
      }
      this.moves += 1;
      this.#keep(next);
      old.halfClose();
      return;
    }
    this.faults.push('was refused everywhere');
  }
}
