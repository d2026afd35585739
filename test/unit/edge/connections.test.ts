/** Which connection a call belongs to, and what the end of its stream means, over sockets that only say things. */
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Connections, STREAM_CREATED } from '../../../src/edge/connections.ts';
import { ManualClock } from '../../../src/std/clock.ts';

class StandInSocket extends EventEmitter {
  destroyed = false;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;

  constructor(remoteAddress?: string, remotePort?: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  /** As grpc-js names it. */
  get peer(): string {
    if (this.remoteAddress === undefined) return 'unknown';
    return this.remotePort ? `${this.remoteAddress}:${this.remotePort}` : this.remoteAddress;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

class StandInSession extends EventEmitter {
  destroyed = false;
  readonly socket: StandInSocket;

  constructor(socket: StandInSocket) {
    super();
    this.socket = socket;
    channel(STREAM_CREATED).publish({ stream: { session: this } });
  }
}

function taken(connections: Connections, remoteAddress?: string, remotePort?: number) {
  const socket = new StandInSocket(remoteAddress, remotePort);
  connections.take(socket as unknown as Socket);
  const session = new StandInSession(socket);
  return { socket, session, connection: connections.of(socket.peer)! };
}

const one = () => taken(new Connections(new ManualClock()), '10.0.0.1', 5000);

describe('a name', () => {
  test.each([
    ['10.0.0.1', 5000, '10.0.0.1:5000'],
    ['::ffff:10.0.0.1', 5000, '::ffff:10.0.0.1:5000'],
    ['fe80::1', 5000, 'fe80::1:5000'],
    [undefined, undefined, 'unix#1'],
  ])('of %s port %s is %s', (address, port, name) => {
    const connections = new Connections(new ManualClock());
    const { socket, connection } = taken(connections, address, port);
    expect(socket.peer).toBe(name);
    expect(connection).toBeDefined();
  });

  test('leads each of many unix sockets to its own connection', () => {
    const connections = new Connections(new ManualClock());
    const found = [1, 2, 3].map(() => taken(connections).connection);
    expect(new Set(found).size).toBe(3);
  });

  test('tells two connections of one client port to two of our ports apart', () => {
    const connections = new Connections(new ManualClock());
    const [first, second] = [1, 2].map(() => taken(connections, '10.0.0.1', 5000));
    expect(connections.size).toBe(2);
    expect(connections.of(first!.socket.peer)).toBe(first!.connection);
    second!.socket.emit('end');
    first!.session.destroyed = true;
    expect([first!.connection.endOf(), second!.connection.endOf()]).toEqual(['silent', 'closed']);
  });

  test('is free again once the socket has closed', () => {
    const connections = new Connections(new ManualClock());
    const { socket } = taken(connections, '10.0.0.1', 5000);
    socket.destroy();
    expect(connections.size).toBe(0);
    expect(connections.of(socket.peer)).toBeUndefined();
    expect(taken(connections, '10.0.0.1', 5000).socket.peer).toBe('10.0.0.1:5000');
  });

  test('nobody knows leads nowhere', () => {
    expect(new Connections(new ManualClock()).of('unknown')).toBeUndefined();
  });
});

describe('an end is closed', () => {
  test('while the connection lives', () => {
    expect(one().connection.endOf()).toBe('closed');
  });

  test('after the peer closed its socket', () => {
    const { socket, session, connection } = one();
    socket.emit('end');
    session.destroyed = true;
    expect(connection.endOf()).toBe('closed');
  });

  test.each(['ECONNRESET', 'EPIPE'])('after the error %s', (code) => {
    const { socket, session, connection } = one();
    socket.emit('error', Object.assign(new Error('the socket failed'), { code }));
    session.destroyed = true;
    socket.destroy();
    expect(connection.endOf()).toBe('closed');
  });

  test('after the client went away with an error', () => {
    const { session, connection } = one();
    session.emit('goaway', 11);
    session.destroyed = true;
    expect(connection.endOf()).toBe('closed');
  });
});

describe('an end is silent', () => {
  test.each([
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENETDOWN',
    'ECONNABORTED',
    'ERR_HTTP2_ERROR',
    undefined,
  ])('after the error %s', (code) => {
    const { socket, session, connection } = one();
    socket.emit('error', Object.assign(new Error('the socket failed'), { code }));
    session.destroyed = true;
    expect(connection.endOf()).toBe('silent');
  });

  test('when nobody said a word', () => {
    const { session, connection } = one();
    session.destroyed = true;
    expect(connection.endOf()).toBe('silent');
  });

  test('when the client only announced that it would go', () => {
    const { session, connection } = one();
    session.emit('goaway', 0);
    session.destroyed = true;
    expect(connection.endOf()).toBe('silent');
  });

  test('and stays so, whatever the peer answers afterwards', () => {
    const { socket, session, connection } = one();
    session.destroyed = true;
    socket.emit('end');
    expect(connection.endOf()).toBe('silent');
    socket.emit('error', Object.assign(new Error('late'), { code: 'ECONNRESET' }));
    expect(connection.endOf()).toBe('silent');
  });

  test('for one stream, although another was closed before', () => {
    const { session, connection } = one();
    expect(connection.endOf()).toBe('closed');
    session.destroyed = true;
    expect(connection.endOf()).toBe('silent');
  });

  test('when we destroyed the sockets', () => {
    const connections = new Connections(new ManualClock());
    const { connection } = taken(connections, '10.0.0.1', 5000);
    connections.destroyAll();
    expect(connection.endOf()).toBe('silent');
    expect(connections.size).toBe(0);
  });

  test('on a connection of which no session is known', () => {
    const connections = new Connections(new ManualClock());
    const socket = new StandInSocket('10.0.0.1', 5000);
    connections.take(socket as unknown as Socket);
    expect(connections.of(socket.peer)!.endOf()).toBe('silent');
  });
});

test('a socket outlives its session by two seconds at most, and no other is touched', () => {
  const clock = new ManualClock();
  const connections = new Connections(clock);
  const dead = taken(connections, '10.0.0.1', 5000);
  const alive = taken(connections, '10.0.0.1', 5001);
  clock.advance(10_000);
  expect(connections.size).toBe(2);
  dead.session.destroyed = true;
  clock.advance(1000);
  expect(dead.socket.destroyed).toBe(false);
  clock.advance(1000);
  expect([dead.socket.destroyed, alive.socket.destroyed]).toEqual([true, false]);
});
