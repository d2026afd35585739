/** A real edge in front of locks that do as the test says, and a real client; no Redis takes part. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CallOptions, Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { silentProbe } from '../../../src/domain/probe.ts';
import { loadContract } from '../../../src/edge/protos.ts';
import { type Edge, type EdgeOptions, startEdge } from '../../../src/edge/server.ts';
import { FakeLocks, settings } from './fake-locks.ts';

export { FakeLocks, holder, settings } from './fake-locks.ts';

export const contract = loadContract();

/** What a test started, closed in the opposite order by `close`. */
export class Stage {
  readonly #closers: (() => unknown)[] = [];
  readonly locks = new FakeLocks();
  /** Every call as the edge recorded it: `holdfast.v1.LockService/Acquire OK`. */
  readonly calls: string[] = [];
  readonly notices: { message: string; facts: Record<string, unknown> | undefined }[] = [];
  readonly operations: string[] = [];

  async edge(more: Partial<EdgeOptions> = {}): Promise<Edge> {
    const edge = await startEdge({
      locks: this.locks,
      settings,
      addresses: ['127.0.0.1:0'],
      keepalive: { timeMs: 10_000, timeoutMs: 5_000 },
      probe: {
        ...silentProbe,
        notice: (_level, message, facts) => this.notices.push({ message, facts }),
        operation: (name, outcome, _tookMs, reason) =>
          this.operations.push([name, outcome, ...(reason === undefined ? [] : [reason])].join(' ')),
      },
      version: '0.1.0',
      status: () => ({ embedded: true, nodes: [], quorumMargin: 0, warnings: [] }),
      onCall: (method, code) => this.calls.push(`${method} ${code}`),
      ...more,
    });
    this.#closers.push(() => edge.stop());
    return edge;
  }

  client(address: string): Client {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.#closers.push(() => client.close());
    return client;
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'edge-'));
    this.#closers.push(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  onClose(act: () => unknown): void {
    this.#closers.push(act);
  }

  async close(): Promise<void> {
    for (const act of this.#closers.splice(0).reverse()) await act();
  }
}

type Method =
  | (typeof contract.locks)[keyof typeof contract.locks]
  | (typeof contract.admin)[keyof typeof contract.admin];

/** What a client of any language sees of one unary call. */
export function unary(
  client: Client,
  method: Method,
  request: object,
  options: CallOptions = {},
): Promise<never> {
  return rawUnary(client, method, method.requestSerialize(request as never), options);
}

/** The same with a body that need not be a message of the method. */
export function rawUnary(
  client: Client,
  method: Method,
  body: Buffer,
  options: CallOptions = {},
): Promise<never> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      (bytes: Buffer) => bytes,
      (bytes) => method.responseDeserialize(bytes),
      body,
      options,
      (error, value) => (error ? reject(error) : resolve(value as never)),
    );
  });
}

/** The error of a call that is expected to fail. */
export async function failure(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    (value) => {
      throw new Error(`the call was answered: ${JSON.stringify(value)}`);
    },
    (error: ServiceError) => error,
  );
}

/** One call without a gRPC client, for what no client would send. */
export class RawCall {
  readonly #session: http2.ClientHttp2Session;
  readonly stream: http2.ClientHttp2Stream;
  /** The status, from trailers or from a trailers-only answer. */
  readonly status: Promise<string>;

  constructor(address: string, path: string, headers: Record<string, string> = {}) {
    this.#session = http2.connect(`http://${address}`);
    this.#session.on('error', () => {});
    this.stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...headers,
    });
    this.stream.on('error', () => {});
    this.stream.resume();
    this.status = new Promise((resolve) => {
      const see = (seen: http2.IncomingHttpHeaders): void => {
        if (seen['grpc-status'] !== undefined) resolve(String(seen['grpc-status']));
      };
      this.stream.on('response', see);
      this.stream.on('trailers', see);
      this.stream.on('close', () => resolve('none'));
    });
  }

  send(message: Buffer): void {
    const frame = Buffer.alloc(5 + message.length);
    frame.writeUInt32BE(message.length, 1);
    message.copy(frame, 5);
    this.stream.write(frame);
  }

  /** Resolves when the server has dealt with all that was sent: frames of one connection arrive in their order. */
  async settled(): Promise<void> {
    const { path } = contract.locks.List;
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
    });
    stream.resume();
    stream.end(Buffer.alloc(5));
    await once(stream, 'trailers');
  }

  async close(): Promise<void> {
    if (this.#session.destroyed) return;
    this.#session.destroy();
    await once(this.#session, 'close');
  }
}

export const acquireRequest = (more: object = {}): object => ({ resources: ['gpu/0'], owner: 'w1', ...more });
