/** A service in front of the service that takes a feature away: what a client asks and is told passes through a filter. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type { SessionEvent } from '../../src/edge/gen/holdfast/v1/SessionEvent.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import type { SessionRequest } from '../../src/edge/gen/holdfast/v1/SessionRequest.ts';
import type { SessionResponse } from '../../src/edge/gen/holdfast/v1/SessionResponse.ts';
import type { SessionResult } from '../../src/edge/gen/holdfast/v1/SessionResult.ts';
import { v1 } from '../harness/rpc-client.ts';

/** One stream of a client, for filters that must remember. */
export interface Passage {
  /** Tells streams apart. */
  readonly id: number;
  /** What was asked under each seq. */
  readonly asked: Map<string, SessionOp>;
  /** Whose true answers are kept from the client, because the filter has answered. */
  readonly answered: Set<string>;
  /** Tells the client something that the service did not say. */
  say(told: SessionResponse): void;
}

export type Message = Record<string, unknown>;

/** All change what they are given; false keeps it from passing. */
export interface Filter {
  head?(request: SessionRequest): void;
  op?(op: SessionOp, passage: Passage): boolean | undefined;
  result?(result: SessionResult, asked: SessionOp | undefined, passage: Passage): void;
  event?(event: SessionEvent): boolean | undefined;
  /** By the name of the rpc, for calls outside the Session; an object answers in place of the service. */
  call?(rpc: string, request: Message): Message | undefined;
  answer?(rpc: string, answer: Message): void;
  /** Errors, the end of a stream included, lose their details. */
  readonly blunt?: true;
  /** The end of a client's stream is not passed on. */
  readonly deaf?: true;
}

type Duplex = ServerDuplexStream<SessionRequest, SessionResponse>;

export class Wire {
  readonly #server: Server;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-wire-'));
  readonly #filter: Filter;
  readonly #locks: InstanceType<typeof v1.LockService>;
  readonly #admin: InstanceType<typeof v1.AdminService>;
  #streams = 0;

  private constructor(filter: Filter, address: string, keepaliveMs: number) {
    this.#server = new Server({
      'grpc.keepalive_time_ms': keepaliveMs,
      'grpc.keepalive_timeout_ms': keepaliveMs,
    });
    this.#filter = filter;
    this.#locks = new v1.LockService(address, credentials.createInsecure());
    this.#admin = new v1.AdminService(address, credentials.createInsecure());
    const unary = (service: ServiceDefinition, client: Client) =>
      Object.fromEntries(
        Object.values(service)
          .filter(({ requestStream, responseStream }) => !requestStream && !responseStream)
          .map(({ path }) => {
            const rpc = path.split('/').at(-1)!;
            return [
              rpc,
              (call: ServerUnaryCall<Message, Message>, told: sendUnaryData<Message>) =>
                this.#pass(rpc, client, call, told),
            ];
          }),
      );
    this.#server.addService(v1.LockService.service, {
      ...unary(v1.LockService.service, this.#locks),
      Session: (call: Duplex) => this.#session(call),
    });
    this.#server.addService(v1.AdminService.service, unary(v1.AdminService.service, this.#admin));
  }

  /** Listens on a unix socket, in front of whoever serves at `address`; silence is noticed as he does. */
  static async to(address: string, filter: Filter, keepaliveMs: number): Promise<Wire> {
    const wire = new Wire(filter, address, keepaliveMs);
    await new Promise<void>((resolve, reject) => {
      wire.#server.bindAsync(`unix:${wire.path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    return wire;
  }

  get path(): string {
    return join(this.#directory, 'wire.sock');
  }

  close(): void {
    this.#server.forceShutdown();
    this.#locks.close();
    this.#admin.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #pass(rpc: string, client: Client, call: ServerUnaryCall<Message, Message>, told: sendUnaryData<Message>) {
    const instead = this.#filter.call?.(rpc, call.request);
    if (instead !== undefined) {
      told(null, instead);
      return;
    }
    type Method = (request: Message, told: (error: ServiceError | null, answer: Message) => void) => void;
    const method = (client as unknown as Record<string, Method>)[rpc]!;
    method.call(client, call.request, (error, answer) => {
      if (error !== null) {
        const { code, details, metadata } = error;
        told({ code, details, metadata: this.#filter.blunt ? new Metadata() : metadata });
        return;
      }
      this.#filter.answer?.(rpc, answer);
      told(null, answer);
    });
  }

  #session(call: Duplex): void {
    const service = this.#locks.session();
    let over = false;
    this.#streams += 1;
    const passage: Passage = {
      id: this.#streams,
      asked: new Map(),
      answered: new Set(),
      say: (told) => {
        if (!over) call.write(told);
      },
    };
    call.on('data', (request: SessionRequest) => {
      this.#filter.head?.(request);
      const ops = (request.ops ?? []).filter((op) => this.#asks(op, passage));
      if (ops.length > 0 || request.grace || (request.ops ?? []).length === 0)
        service.write({ ...request, ops });
    });
    const leave = (how: 'end' | 'cancel') => {
      if (!this.#filter.deaf) service[how]();
    };
    call.on('end', () => leave('end'));
    call.on('cancelled', () => leave('cancel'));
    call.on('error', () => {});
    service.on('data', (told: SessionResponse) => {
      const results = (told.results ?? []).filter((result) => {
        const asked = passage.asked.get(String(result.seq));
        if (asked !== undefined) this.#filter.result?.(result, asked, passage);
        return !passage.answered.has(String(result.seq));
      });
      const events = (told.events ?? []).filter((event) => this.#filter.event?.(event) !== false);
      passage.say({ results, events });
    });
    service.on('error', ({ code, details, metadata }: ServiceError) => {
      over = true;
      call.emit('error', { code, details, metadata: this.#filter.blunt ? new Metadata() : metadata });
    });
    service.on('end', () => {
      if (!over) call.end();
      over = true;
    });
  }

  #asks(op: SessionOp, passage: Passage): boolean {
    passage.asked.set(String(op.seq), op);
    if (this.#filter.op?.(op, passage) !== false) return true;
    passage.answered.add(String(op.seq));
    return false;
  }
}
