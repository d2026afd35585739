/** A bare grpc-js server over `Connections` that notes how each stream ended: what came when, and what was judged. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { type ClientEnd, type Connection, Connections } from '../../src/edge/connections.ts';
import { type Clock, systemClock } from '../../src/std/clock.ts';
import { until } from './until.ts';

export type Transport = 'tcp' | 'unix';

export const TELL = '/ends.Ends/Tell';
export const ECHO = '/ends.Ends/Echo';
/** How much a server that shall fill the buffers writes at once: more than kernel and HTTP/2 windows hold. */
const CHUNK = Buffer.alloc(512 * 1024);
/** Silence is noticed while a test waits, or never. */
const KEEPALIVE_MS = { soon: 200, never: 3_600_000 };
/** How often the rule of the bytes looked. */
const SAMPLE_MS = KEEPALIVE_MS.soon / 3;

const bytes = (value: Buffer): Buffer => value;
const method = (path: string, requestStream: boolean) => ({
  path,
  requestStream,
  responseStream: true,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
export const ends: ServiceDefinition = { Tell: method(TELL, false), Echo: method(ECHO, true) };

type Call = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** One stream, as its handler saw it. */
export class Seen {
  readonly path: string;
  readonly names: string[] = [];
  judged: ClientEnd | undefined;
  /** What two simpler rules would have said at the same moment. */
  byStanding: ClientEnd | undefined;
  byBytes: ClientEnd | undefined;
  readonly call: Call;

  constructor(call: Call, connection: Connection | undefined, socket: Watched | undefined) {
    this.call = call;
    this.path = call.getPath();
    for (const name of ['cancelled', 'end', 'error', 'finish', 'close']) {
      call.on(name, () => {
        this.names.push(name);
        if (this.judged !== undefined || (name !== 'cancelled' && name !== 'close')) return;
        this.judged = connection?.endOf();
        this.byStanding = socket?.standing();
        this.byBytes = socket?.spoke();
      });
    }
  }

  get over(): boolean {
    return this.names.includes('close');
  }
}

/** Two rules that were found wanting: a socket that still stands, and bytes that were read of late, mean closed. */
class Watched {
  readonly socket: Socket;
  #read = 0;
  #before = 0;
  readonly said: string[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('end', () => this.said.push('end'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => this.said.push(String(code)));
    const timer = setInterval(() => {
      this.#before = this.#read;
      this.#read = socket.bytesRead;
    }, SAMPLE_MS);
    socket.on('close', () => {
      this.said.push('close');
      clearInterval(timer);
    });
  }

  standing(): ClientEnd {
    return this.said.length > 0 || !this.socket.destroyed ? 'closed' : 'silent';
  }

  spoke(): ClientEnd {
    return this.said.length > 0 || this.socket.bytesRead > this.#before ? 'closed' : 'silent';
  }
}

export class StreamServer {
  readonly seen: Seen[] = [];
  readonly sockets: Watched[] = [];
  readonly connections: Connections;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-ends-'));
  readonly #net: NetServer;
  readonly #grpc: Server;

  private constructor(keepalive: 'soon' | 'never', clock: Clock) {
    this.connections = new Connections(clock);
    this.#grpc = new Server({
      'grpc.keepalive_time_ms': KEEPALIVE_MS[keepalive],
      'grpc.keepalive_timeout_ms': KEEPALIVE_MS[keepalive],
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.enable_channelz': 0,
    });
    this.#grpc.addService(ends, {
      Tell: (call: ServerWritableStream<Buffer, Buffer>) => {
        this.#see(call);
        call.write(Buffer.from('open'));
        if (String(call.request) === 'pour') pour(call);
      },
      Echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
        this.#see(call);
        call.on('data', (message: Buffer) => {
          if (String(message) === 'pour') pour(call);
          else call.write(message);
        });
      },
    });
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#net = createServer({ noDelay: true }, (socket) => {
      this.sockets.push(new Watched(socket));
      this.connections.take(socket);
      injector.injectConnection(socket);
    });
  }

  static async start(
    transport: Transport,
    keepalive: 'soon' | 'never',
    clock: Clock = systemClock,
  ): Promise<StreamServer> {
    const server = new StreamServer(keepalive, clock);
    const where = transport === 'unix' ? { path: server.path } : { port: 0, host: '127.0.0.1' };
    await new Promise<void>((resolve) => server.#net.listen(where, resolve));
    return server;
  }

  get path(): string {
    return join(this.#directory, 'server.sock');
  }

  /** For `net.connect`. */
  get where(): { path: string } | { port: number; host: string } {
    const address = this.#net.address() as AddressInfo | string;
    return typeof address === 'string' ? { path: address } : { port: address.port, host: '127.0.0.1' };
  }

  /** The stream of that method; waits for it. */
  stream(path: string): Promise<Seen> {
    return until(`a stream of ${path}`, () => this.seen.find((seen) => seen.path === path));
  }

  /** The server has more to write than anybody takes. */
  async full(): Promise<void> {
    await until('writes that wait', () =>
      this.seen.every(({ call, over }) => over || call.writableNeedDrain),
    );
    let taken = -1;
    await until('nothing is taken any more', () => {
      const before = taken;
      taken = this.sockets.reduce((bytes, { socket }) => bytes + socket.bytesWritten, 0);
      return taken === before;
    });
  }

  /** Waits until both streams have ended, and says how each was judged. */
  async judged(): Promise<readonly (ClientEnd | undefined)[]> {
    await until('both streams ended', () => this.seen.length === 2 && this.seen.every(({ over }) => over));
    return this.seen.map(({ judged }) => judged);
  }

  close(): void {
    this.#grpc.forceShutdown();
    this.connections.destroyAll();
    this.#net.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #see(call: Call): void {
    const socket = this.sockets.at(-1);
    this.seen.push(new Seen(call, this.connections.of(call.getPeer()), socket));
  }
}

/** Writes as long as anybody takes it, so that there is always a write that nobody has acknowledged. */
function pour(call: Call): void {
  const more = () => {
    while (!call.destroyed && call.write(CHUNK));
  };
  call.on('drain', more);
  more();
}
