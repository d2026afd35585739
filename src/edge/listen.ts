/** The sockets we listen on: TCP and unix, with errors that name the address and what is wrong with it. */
import { lookup } from 'node:dns/promises';
import { chmod, lstat, unlink } from 'node:fs/promises';
import {
  type AddressInfo,
  connect,
  createServer,
  isIP,
  type ListenOptions,
  type Server,
  type ServerOpts,
  type Socket,
} from 'node:net';
import { dirname, isAbsolute, resolve } from 'node:path';

/** An address that cannot be listened on; the message says which and why. */
export class AddressError extends Error {
  override name = 'AddressError';
}

export interface Bound {
  /** As configured, with the port that was chosen where it was 0. */
  readonly address: string;
  readonly servers: readonly Listening[];
}

/** What we need of a `net.Server`. */
export interface Listening {
  on(event: 'error', heard: (error: Error) => void): unknown;
  /** Takes no more connections; calls back when the last one has ended. */
  close(done?: () => void): unknown;
}

/** `pauseOnConnect`: nothing is read, for sockets that go to another process. */
type How = Pick<ServerOpts, 'pauseOnConnect'>;

/**
 * Only the user that runs the service may connect: on a unix socket the permissions of the file are the only
 * authentication there is.
 */
export const SOCKET_MODE = 0o600;
/** What fits into a sockaddr_un, less the closing zero. */
const PATH_BYTES = 107;
const UNIX = 'unix:';

const CAUSES: Record<string, string> = {
  EADDRINUSE: 'the address is already in use',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine does not support this kind of address',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be resolved now',
  ENOENT: 'no such directory',
};

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';

function addressError(address: string, error: unknown): AddressError {
  if (error instanceof AddressError) return error;
  const why = CAUSES[codeOf(error)] ?? (error as Error).message;
  return new AddressError(`cannot listen on ${address}: ${why}`, { cause: error });
}

/** Listens on `host:port`, `[v6]:port` or `unix:/path`; each connection goes to `onSocket`. */
export async function listen(
  address: string,
  onSocket: (socket: Socket) => void,
  how: How = {},
): Promise<Bound> {
  try {
    return address.startsWith(UNIX)
      ? await listenUnix(address, onSocket, how)
      : await listenTcp(address, onSocket, how);
  } catch (error) {
    throw addressError(address, error);
  }
}

function open(options: ListenOptions, onSocket: (socket: Socket) => void, how: How): Promise<Server> {
  return new Promise((done, failed) => {
    const server = createServer({ noDelay: true, ...how }, onSocket);
    server.once('error', failed);
    // A socket's file is made by the call itself: made for all, and closed to others a moment later, it would be open.
    const mask = options.path === undefined ? undefined : process.umask(0o777 & ~SOCKET_MODE);
    server.listen(options, () => {
      server.off('error', failed);
      done(server);
    });
    if (mask !== undefined) process.umask(mask);
  });
}

async function listenTcp(address: string, onSocket: (socket: Socket) => void, how: How): Promise<Bound> {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const wanted = Number(parts?.[3]);
  if (parts === null || host === undefined || wanted > 65_535) {
    throw new AddressError(`cannot listen on ${address}: must be host:port, [ipv6]:port or unix:/path`);
  }
  // A name may stand for several addresses (localhost mostly does), and a client may try any of them.
  const hosts = isIP(host) > 0 ? [host] : (await lookup(host, { all: true })).map((found) => found.address);
  const servers: Server[] = [];
  let port = wanted;
  let failure: unknown;
  for (const one of new Set(hosts)) {
    try {
      const server = await open({ host: one, port }, onSocket, how);
      port = (server.address() as AddressInfo).port;
      servers.push(server);
    } catch (error) {
      failure = error;
      // A machine without IPv6 may still resolve names to it; every other failure is one to tell.
      if (codeOf(error) === 'EADDRNOTAVAIL' || codeOf(error) === 'EAFNOSUPPORT') continue;
      for (const server of servers) server.close();
      throw error;
    }
  }
  if (servers.length === 0) throw failure;
  return { address: address.replace(/:\d+$/, `:${port}`), servers };
}

async function listenUnix(address: string, onSocket: (socket: Socket) => void, how: How): Promise<Bound> {
  // Both unix:/path and unix:///path are in use among gRPC programs.
  const given = address.slice(UNIX.length).replace(/^\/\/(?=\/)/, '');
  const path = isAbsolute(given) ? given : resolve(given);
  if (given === '' || Buffer.byteLength(path) > PATH_BYTES) {
    throw new AddressError(`cannot listen on ${address}: the path must be 1 to ${PATH_BYTES} bytes`);
  }
  await removeStale(address, path);
  const server = await open({ path }, onSocket, how);
  try {
    await chmod(path, SOCKET_MODE);
  } catch (error) {
    server.close();
    throw error;
  }
  return { address: `${UNIX}${path}`, servers: [server] };
}

/** A killed process leaves its socket file behind; one that answers, or is no socket, is left alone. */
async function removeStale(address: string, path: string): Promise<void> {
  // libuv would call a folder that is not there a lack of permission.
  await lstat(dirname(path));
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new AddressError(`cannot listen on ${address}: a file is there that is no socket`);
  if (await answers(path))
    throw new AddressError(`cannot listen on ${address}: the address is already in use`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    });
    // Only a refusal proves that nobody listens: a full backlog or missing rights do not.
    socket.once('error', (error) => done(codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'ENOENT'));
  });
}
