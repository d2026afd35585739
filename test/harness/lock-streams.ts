/** Hold and Session as a client sees them: what it was told, in order and with the time, and how each stream ended. */
import type { ChannelOptions, ServiceError } from '@grpc/grpc-js';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { Error__Output } from '../../src/edge/gen/holdfast/v1/Error.ts';
import type { HoldRequest } from '../../src/edge/gen/holdfast/v1/HoldRequest.ts';
import type { HoldResponse__Output as HoldResponse } from '../../src/edge/gen/holdfast/v1/HoldResponse.ts';
import type { SessionEvent__Output as SessionEvent } from '../../src/edge/gen/holdfast/v1/SessionEvent.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import type { SessionResponse__Output as SessionResponse } from '../../src/edge/gen/holdfast/v1/SessionResponse.ts';
import type { SessionResult__Output as SessionResult } from '../../src/edge/gen/holdfast/v1/SessionResult.ts';
import { type Lease, type Refused, refusedBy, v1 } from './rpc-client.ts';
import { channelOf, type Shown } from './shown.ts';
import { until } from './until.ts';

/** A connection of its own, which clients of one process otherwise share. */
const ALONE: ChannelOptions = { 'grpc.use_local_subchannel_pool': 1 };

/** Of the machine, the same for all its processes, and nobody sets it. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** What gRPC itself says of an end has no details. */
export function endOf(error: ServiceError): Refused {
  if (error.metadata.get('grpc-status-details-bin').length > 0) return refusedBy(error);
  return {
    code: error.code,
    reason: '',
    metadata: {},
    fields: [],
    retryAfter: false,
    message: error.details,
  };
}

export type HoldEvent = { readonly atMs: number } & HoldResponse;

export class HoldStream {
  readonly events: HoldEvent[] = [];
  /** Undefined while it stands. */
  ended: Refused | 'OK' | undefined;
  onEvent: ((event: HoldEvent) => void) | undefined;
  onEnd: (() => void) | undefined;
  readonly openedMs = machineMs();
  readonly #client: InstanceType<typeof v1.LockService>;
  readonly #call: ReturnType<InstanceType<typeof v1.LockService>['hold']>;

  constructor(address: string, request: HoldRequest, shown: Shown = {}) {
    const { creds, options } = channelOf(shown);
    this.#client = new v1.LockService(address, creds, { ...ALONE, ...options });
    this.#call = this.#client.hold(request);
    this.#call.on('data', (message: HoldResponse) => {
      const event = { atMs: machineMs(), ...message };
      this.events.push(event);
      this.onEvent?.(event);
    });
    this.#call.on('error', (error) => this.#end(endOf(error as ServiceError)));
    this.#call.on('end', () => this.#end('OK'));
  }

  static acquire(
    address: string,
    resource: string,
    more: AcquireRequest = {},
    shown: Shown = {},
  ): HoldStream {
    return new HoldStream(address, { acquire: { resources: [resource], owner: 'holder', ...more } }, shown);
  }

  static resume(address: string, { lease_id }: Lease): HoldStream {
    return new HoldStream(address, { resume_lease_id: lease_id });
  }

  of<Kind extends NonNullable<HoldResponse['event']>>(kind: Kind): NonNullable<HoldResponse[Kind]>[] {
    return this.events.flatMap((event) => (event[kind] == null ? [] : [event[kind]]));
  }

  /** What it was last told of its lease. */
  get lease(): Lease {
    return (this.of('renewed').at(-1) ?? this.of('granted')[0])!;
  }

  async first<Kind extends NonNullable<HoldResponse['event']>>(
    kind: Kind,
    withinMs?: number,
  ): Promise<NonNullable<HoldResponse[Kind]>> {
    const look = () => {
      const [found] = this.of(kind);
      if (found === undefined && this.ended !== undefined) {
        throw new Error(`ended without ${kind}: ${JSON.stringify(this.ended)}`);
      }
      return found;
    };
    return (await until(`it was told ${kind}`, look, withinMs)) as NonNullable<HoldResponse[Kind]>;
  }

  /** Whether it was granted, once it was that or has ended. */
  async decided(withinMs?: number): Promise<boolean> {
    const look = () => this.of('granted').length > 0 || this.ended !== undefined;
    await until('it is granted or ends', look, withinMs);
    return this.of('granted').length > 0;
  }

  granted(): Promise<Lease> {
    return this.first('granted');
  }

  /** So many extensions more than there were. */
  async renewals(count: number): Promise<void> {
    const before = this.of('renewed').length;
    await until(`${count} renewals more`, () => {
      if (this.ended !== undefined) throw new Error(`ended: ${JSON.stringify(this.ended)}`);
      return this.of('renewed').length >= before + count;
    });
  }

  async over(withinMs?: number): Promise<Refused | 'OK'> {
    return (await until('it has ended', () => this.ended, withinMs)) as Refused | 'OK';
  }

  cancel(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #end(how: Refused | 'OK'): void {
    if (this.ended !== undefined) return;
    this.ended = how;
    this.#client.close();
    this.onEnd?.();
  }
}

export class SessionStream {
  readonly events: SessionEvent[] = [];
  ended: Refused | 'OK' | undefined;
  readonly #results = new Map<string, SessionResult>();
  readonly #client: InstanceType<typeof v1.LockService>;
  readonly #call: ReturnType<InstanceType<typeof v1.LockService>['session']>;
  #seq = 0;

  constructor(address: string, shown: Shown = {}) {
    const { creds, options } = channelOf(shown);
    this.#client = new v1.LockService(address, creds, { ...ALONE, ...options });
    this.#call = this.#client.session();
    this.#call.on('data', ({ results, events }: SessionResponse) => {
      for (const result of results) this.#results.set(result.seq, result);
      this.events.push(...events);
    });
    this.#call.on('error', (error) => this.#end(endOf(error as ServiceError)));
    this.#call.on('end', () => this.#end('OK'));
  }

  /** All in one message; the numbers by which they are answered. */
  ask(ops: readonly SessionOp[], graceMs = 0): string[] {
    const asked = ops.map((op) => {
      this.#seq += 1;
      return { ...op, seq: String(this.#seq) };
    });
    this.#call.write({ ops: asked, ...(graceMs === 0 ? {} : { grace: { nanos: graceMs * 1e6 } }) });
    return asked.map(({ seq }) => seq);
  }

  async result(seq: string): Promise<SessionResult> {
    return until(`operation ${seq} is answered`, () => {
      const result = this.#results.get(seq);
      if (result === undefined && this.ended !== undefined) {
        throw new Error(`ended without an answer: ${JSON.stringify(this.ended)}`);
      }
      return result;
    });
  }

  async lock(resource: string, more: AcquireRequest = {}): Promise<Lease> {
    const [seq] = this.ask([{ acquire: { resources: [resource], owner: 'session', ...more } }]);
    const { acquire, error } = await this.result(seq!);
    if (acquire?.lease == null) throw new Error(`not granted: ${JSON.stringify(acquire ?? error)}`);
    return acquire.lease;
  }

  async refused(seq: string): Promise<Error__Output> {
    const result = await this.result(seq);
    if (result.error == null) throw new Error(`answered: ${JSON.stringify(result)}`);
    return result.error;
  }

  of<Kind extends NonNullable<SessionEvent['event']>>(kind: Kind): SessionEvent[] {
    return this.events.filter((event) => event.event === kind);
  }

  async over(): Promise<Refused | 'OK'> {
    return (await until('it has ended', () => this.ended)) as Refused | 'OK';
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #end(how: Refused | 'OK'): void {
    if (this.ended !== undefined) return;
    this.ended = how;
    this.#client.close();
  }
}
