/** The fake's door: a gRPC server on a free port of this machine, whose connections a test can cut. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { HoldRequestRead, HoldResponse, SessionRequestRead, SessionResponse } from '../gen/messages.ts';
import { acquire } from './acquire.ts';
import { checkToken, forceRelease, heartbeat, inspect, isRefusal, list, release, status } from './calls.ts';
import { served } from './codec.ts';
import type { Desk } from './desk.ts';
import { statusOf } from './encode.ts';
import { Hold } from './hold.ts';
import { draining, type Refusal, refuse } from './refusals.ts';
import { Session } from './session.ts';

type Answering<Request, Response extends object> = (desk: Desk, request: Request) => Response | Refusal;

function unary<Request, Response extends object>(
  desk: Desk,
  answering: Answering<Request, Response>,
): handleUnaryCall<Request, Response> {
  return (call, answer) => {
    desk.pass(() => {
      const response = answering(desk, call.request);
      // Asked and answered in one go, but an answer waits where the service was stalled by what was asked.
      desk.pass(() => (isRefusal(response) ? answer(statusOf(response)) : answer(null, response)));
    });
  };
}

function notServed(what: string): Refusal {
  return refuse('NOT_SERVED', `the fake does not serve ${what}`);
}

function lockService(desk: Desk): UntypedServiceImplementation {
  return {
    Acquire: (call: Parameters<typeof acquire>[1], answer: Parameters<typeof acquire>[2]) =>
      desk.pass(() => acquire(desk, call, answer)),
    Heartbeat: unary(desk, heartbeat),
    Release: unary(desk, (_, request: Parameters<typeof release>[1]) => release(desk, request)),
    Inspect: unary(desk, inspect),
    List: unary(desk, list),
    CheckToken: unary(desk, checkToken),
    Hold: (call: ServerWritableStream<HoldRequestRead, HoldResponse>) =>
      desk.pass(() => void new Hold(desk, call)),
    Session: (call: ServerDuplexStream<SessionRequestRead, SessionResponse>) => {
      if (desk.drained) call.emit('error', statusOf(draining));
      else new Session(desk, call);
    },
    Watch: (call: ServerWritableStream<object, object>) => {
      call.emit('error', statusOf(notServed('Watch')));
    },
  };
}

function adminService(desk: Desk): UntypedServiceImplementation {
  return {
    ForceRelease: unary(desk, forceRelease),
    Status: unary(desk, status),
    Reload: (_call: ServerUnaryCall<object, object>, answer: (error: object) => void) =>
      answer(statusOf(notServed('Reload'))),
  };
}

/** Sockets are ours, and gRPC speaks on them: so a connection can be cut as a network does it. */
export class Door {
  readonly address: string;
  readonly #server: Server;
  readonly #listener: NetServer;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, listener: NetServer, sockets: Set<Socket>) {
    this.#server = server;
    this.#listener = listener;
    this.#sockets = sockets;
    const at = listener.address() as AddressInfo | string;
    this.address = typeof at === 'string' ? `unix:${at}` : `127.0.0.1:${at.port}`;
  }

  /** `path`: a unix socket; without it a free port. */
  static async open(desk: Desk, path?: string): Promise<Door> {
    const server = new Server();
    server.addService(served('LockService'), lockService(desk));
    server.addService(served('AdminService'), adminService(desk));
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const sockets = new Set<Socket>();
    const listener = createServer((socket) => {
      if (desk.unreachable) {
        socket.destroy();
        return;
      }
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => {});
      injector.injectConnection(socket);
    });
    if (path === undefined) listener.listen(0, '127.0.0.1');
    else listener.listen(path);
    await once(listener, 'listening');
    return new Door(server, listener, sockets);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    this.cut();
    this.#server.forceShutdown();
    await closed;
  }
}
