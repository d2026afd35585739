/** The side door for machines and people: is it alive, is it ready, its metrics; reads only, no lock is touched. */

import { unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type ListenOptions, type Socket } from 'node:net';

export type HttpAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface HttpOptions {
  readonly address: HttpAddress;
  readonly version: string;
  /** Which parts of the service do not answer; empty when all do. */
  readonly dead?: () => Promise<readonly string[]>;
  /** Why the replica is not ready; empty when it is. */
  readonly unready: () => readonly string[] | Promise<readonly string[]>;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Key figures for `/`, without secrets. */
  readonly about?: () => Readonly<Record<string, unknown>> | Promise<Readonly<Record<string, unknown>>>;
}

export interface HttpDoor {
  /** With the port that was really taken. */
  readonly address: HttpAddress;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const SLOW_CLIENT_MS = 5000;
const CONNECTIONS_MAX = 128;
const JSON_TYPE = 'application/json; charset=utf-8';

function json(status: number, value: unknown): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

async function answer(path: string, options: HttpOptions): Promise<Answer> {
  switch (path) {
    case '/livez': {
      const reasons = (await options.dead?.()) ?? [];
      // That this line runs is the proof: the event loop turns.
      return reasons.length === 0 ? json(200, { live: true }) : json(503, { live: false, reasons });
    }
    case '/readyz': {
      const reasons = await options.unready();
      return json(reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
    }
    case '/metrics':
      return { status: 200, type: options.metrics.contentType, body: await options.metrics.text() };
    case '/':
      return json(200, {
        service: 'holdfast',
        version: options.version,
        ...(await options.about?.()),
        paths: ['/livez', '/readyz', '/metrics'],
      });
    default:
      return json(404, { error: 'not found' });
  }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const reads = request.method === 'GET' || request.method === 'HEAD';
  const reply = reads ? await answer(path, options) : json(405, { error: 'only GET and HEAD' });
  response.writeHead(reply.status, {
    'content-type': reply.type,
    'content-length': Buffer.byteLength(reply.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(reads ? {} : { allow: 'GET, HEAD', connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : reply.body);
}

export async function startHttp(options: HttpOptions): Promise<HttpDoor> {
  const server = createServer(
    {
      headersTimeout: SLOW_CLIENT_MS,
      requestTimeout: SLOW_CLIENT_MS,
      keepAliveTimeout: SLOW_CLIENT_MS,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 8192,
    },
    (request, response) => {
      respond(request, response, options).catch(() => {
        // A scrape that fails is a 500, never an unhandled rejection.
        if (!response.headersSent) response.writeHead(500);
        response.end();
      });
    },
  );
  keepRoom(server);
  await listen(server, options.address);
  const bound = server.address();
  const taken = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    address: options.address.kind === 'tcp' ? { ...options.address, port: taken } : options.address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Whoever comes takes the place of the one who came first: were it refused instead, a hundred idle connections would
 * keep a probe out, and the process be restarted for that.
 */
function keepRoom(server: Server): void {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size <= CONNECTIONS_MAX) return;
    const [first] = open;
    open.delete(first as Socket);
    first?.destroy();
  });
}

async function listen(server: Server, address: HttpAddress): Promise<void> {
  const where: ListenOptions =
    address.kind === 'tcp' ? { host: address.host, port: address.port } : { path: address.path };
  try {
    await listening(server, where);
  } catch (error) {
    // A socket file outlives a process that was killed.
    const left = address.kind === 'unix' && (error as { code?: unknown }).code === 'EADDRINUSE';
    if (!left || (await answers(address.path))) throw error;
    await unlink(address.path);
    await listening(server, where);
  }
}

function listening(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal leaves doubt, and a live neighbour's socket must not be taken away.
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
