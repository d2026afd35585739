/** A service that does what a test says: for the orders of events that a real one shows once in a thousand runs. */
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs/light.js';
import { until } from '../../../../test/harness/until.ts';
import { descriptor } from '../../src/gen/descriptor.ts';
import type { Lease, SessionOp, SessionRequestRead, SessionResponse } from '../../src/gen/messages.ts';

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace);
const [asked, answered] = ['SessionRequest', 'SessionResponse'].map((name) =>
  root.lookupType(`holdfast.v1.${name}`),
);

const service: ServiceDefinition = {
  Session: {
    path: '/holdfast.v1.LockService/Session',
    requestStream: true,
    responseStream: true,
    requestSerialize: (value: object) => asked!.encode(value).finish() as Buffer,
    requestDeserialize: (bytes: Buffer) => asked!.toObject(asked!.decode(bytes), { longs: Number }),
    responseSerialize: (value: object) => answered!.encode(value).finish() as Buffer,
    responseDeserialize: (bytes: Buffer) => answered!.decode(bytes),
  },
};

/** One operation as it came. */
export type Asked = Omit<SessionOp, 'seq'> & { readonly seq: number };

export class Call {
  readonly ops: Asked[] = [];
  readonly graces: number[] = [];
  halfClosed = false;
  readonly #call: ServerDuplexStream<SessionRequestRead, SessionResponse>;

  constructor(call: ServerDuplexStream<SessionRequestRead, SessionResponse>) {
    this.#call = call;
    call.on('data', ({ ops = [], grace }: SessionRequestRead) => {
      this.ops.push(...(ops as unknown as Asked[]));
      if (grace) this.graces.push(Number(grace.seconds ?? 0) * 1000);
    });
    call.on('end', () => {
      this.halfClosed = true;
      call.end();
    });
    call.on('error', () => {});
  }

  /** The next one of a kind that was not taken yet. */
  async op(kind: keyof SessionOp): Promise<Asked> {
    const found = await until(`${kind} is asked`, () => this.ops.find((op) => op[kind] !== undefined));
    this.ops.splice(this.ops.indexOf(found), 1);
    return found;
  }

  say(response: SessionResponse): void {
    this.#call.write(response);
  }

  grant(seq: number, more: Partial<Lease> = {}): void {
    this.say({ results: [{ seq, acquire: { lease: leaseOf(more) } }] });
  }

  /** As a replica that dies, or one that says why. */
  end(code = 14, details = 'gone'): void {
    this.#call.emit('error', { code, details, metadata: new Metadata() });
  }
}

/** 30 s from the epoch of this service. */
export function leaseOf(more: Partial<Lease> = {}): Lease {
  return {
    lease_id: 'secret',
    lease_ref: 'ref',
    resources: ['x'],
    fencing_token: 7,
    owner: 'me',
    mode: 1,
    ttl: { seconds: 30 },
    expire_time: { seconds: 1030 },
    ...more,
  };
}

export class Scripted {
  readonly calls: Call[] = [];
  address = '';
  /** New streams end at once. */
  refuses = false;
  readonly #server = new Server();

  static async start(): Promise<Scripted> {
    const scripted = new Scripted();
    const Session = (call: ServerDuplexStream<SessionRequestRead, SessionResponse>): void => {
      const opened = new Call(call);
      if (scripted.refuses) opened.end();
      else scripted.calls.push(opened);
    };
    scripted.#server.addService(service, { Session });
    const port = await new Promise<number>((resolve, reject) => {
      scripted.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    scripted.address = `127.0.0.1:${port}`;
    return scripted;
  }

  /** The stream that was opened as the so-many-th. */
  call(at: number): Promise<Call> {
    return until(`stream ${at} is opened`, () => this.calls[at]);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}
