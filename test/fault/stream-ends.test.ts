/** How a stream ends: what a client or its kernel says is `closed`, at once; all else is `silent`, however it looks. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ClientEnd } from '../../src/edge/connections.ts';
import { Cable } from '../harness/cable.ts';
import { RawClient } from '../harness/raw-client.ts';
import { ClientProcess } from '../harness/stream-client.ts';
import { ECHO, StreamServer, TELL, type Transport } from '../harness/stream-server.ts';
import { until } from '../harness/until.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

async function serve(transport: Transport, keepalive: 'soon' | 'never'): Promise<StreamServer> {
  const server = await StreamServer.start(transport, keepalive);
  closing.push(() => server.close());
  return server;
}

async function laid(server: StreamServer): Promise<Cable> {
  const cable = await Cable.to(server.where);
  closing.push(() => cable.close());
  return cable;
}

async function clientAt(
  at: StreamServer | Cable,
  kind: 'grpc' | 'pour' | 'forked' = 'grpc',
): Promise<ClientProcess> {
  const client = await ClientProcess.start(at.where, kind);
  closing.push(() => client.end());
  return client;
}

interface Raw {
  readonly client: RawClient;
  readonly tell: number;
  readonly echo: number;
}

/** A client of bare frames whose streams stand. The server may write to it until it has filled its windows, or the socket. */
async function raw(
  at: StreamServer | Cable,
  server: StreamServer,
  kind: 'idle' | 'pour' | 'fill' = 'idle',
): Promise<Raw> {
  const client = new RawClient(at.where);
  closing.push(() => client.socket.destroy());
  const message = kind === 'idle' ? 'hi' : 'pour';
  const tell = client.open(TELL, message, true);
  const echo = client.open(ECHO, message, false);
  for (const path of [TELL, ECHO]) await server.stream(path);
  if (kind === 'fill') {
    client.socket.pause();
    for (const stream of [tell, echo]) client.widen(stream);
  }
  if (kind !== 'idle') await server.full();
  return { client, tell, echo };
}

const both = (end: ClientEnd): readonly ClientEnd[] => [end, end];
/** NO_ERROR to HTTP_1_1_REQUIRED: all that there are. */
const CODES = Array.from({ length: 14 }, (_, code) => code);

describe.each(['tcp', 'unix'] as const)('over %s', (transport) => {
  describe('closed, although keepalive would never notice, is a stream whose', () => {
    test.each(['SIGKILL', 'SIGTERM'] as const)('process is ended by %s', async (signal) => {
      const server = await serve(transport, 'never');
      (await clientAt(server)).signal(signal);
      expect(await server.judged()).toEqual(both('closed'));
    });

    test('process is stopped and then killed', async () => {
      const server = await serve(transport, 'never');
      const client = await clientAt(server);
      client.signal('SIGSTOP');
      client.signal('SIGKILL');
      expect(await server.judged()).toEqual(both('closed'));
    });

    test('process is killed while much that was written for it is on its way', async () => {
      const server = await serve(transport, 'never');
      const client = await clientAt(server, 'pour');
      await server.full();
      client.signal('SIGKILL');
      expect(await server.judged()).toEqual(both('closed'));
    });

    test('client cancels it', async () => {
      const server = await serve(transport, 'never');
      (await clientAt(server)).tell('cancel');
      expect(await server.judged()).toEqual(both('closed'));
      expect(server.connections.size).toBe(1);
    });

    test.each(CODES)('client resets it with code %i', async (code) => {
      const server = await serve(transport, 'never');
      const { client, tell, echo } = await raw(server, server);
      client.reset(tell, code);
      client.reset(echo, code);
      expect(await server.judged()).toEqual(both('closed'));
      expect(server.connections.size).toBe(1);
    });

    test.each(CODES)('client resets it with code %i while the server writes', async (code) => {
      const server = await serve(transport, 'never');
      const { client, tell, echo } = await raw(server, server, 'pour');
      client.reset(tell, code);
      client.reset(echo, code);
      expect(await server.judged()).toEqual(both('closed'));
    });

    test('client says with an error that the whole connection is over', async () => {
      const server = await serve(transport, 'never');
      (await raw(server, server)).client.goAway(2);
      expect(await server.judged()).toEqual(both('closed'));
    });

    test('client closes the socket one way and still reads', async () => {
      const server = await serve(transport, 'never');
      (await raw(server, server)).client.socket.end();
      expect(await server.judged()).toEqual(both('closed'));
      await until('the socket is gone', () => server.connections.size === 0);
    });

    test('client closes the socket', async () => {
      const server = await serve(transport, 'never');
      (await raw(server, server, 'pour')).client.socket.destroy();
      expect(await server.judged()).toEqual(both('closed'));
    });
  });

  describe('silent is a stream whose', () => {
    test('process is stopped, also when it goes on later', async () => {
      const server = await serve(transport, 'soon');
      const client = await clientAt(server);
      client.signal('SIGSTOP');
      expect(await server.judged()).toEqual(both('silent'));
      client.signal('SIGCONT');
      await until('the socket is gone', () => server.connections.size === 0);
    });

    test('process is killed while another that it forked keeps the socket', async () => {
      const server = await serve(transport, 'soon');
      (await clientAt(server, 'forked')).signal('SIGKILL');
      expect(await server.judged()).toEqual(both('silent'));
    });

    test.each([
      { cut: ['in'], way: 'from the client' },
      { cut: ['out'], way: 'to the client' },
      { cut: ['in', 'out'], way: 'at all' },
    ] as const)('cable carries nothing $way', async ({ cut }) => {
      const server = await serve(transport, 'soon');
      const cable = await laid(server);
      await clientAt(cable);
      for (const direction of cut) cable.cut(direction);
      expect(await server.judged()).toEqual(both('silent'));
    });

    test('cable is cut while much that was written is on its way', async () => {
      const server = await serve(transport, 'soon');
      const cable = await laid(server);
      await clientAt(cable, 'pour');
      cable.cut('in');
      cable.cut('out');
      expect(await server.judged()).toEqual(both('silent'));
    });

    test('client still talks, and hears nothing', async () => {
      const server = await serve(transport, 'soon');
      const cable = await laid(server);
      const { client, echo } = await raw(cable, server);
      cable.cut('out');
      await until('the streams ended', () => {
        client.say(echo, 'still here');
        return server.seen.every(({ over }) => over);
      });
      expect(await server.judged()).toEqual(both('silent'));
    });

    test('client reads nothing of what fills the socket, whatever it says', async () => {
      const server = await serve(transport, 'soon');
      const { client, tell, echo } = await raw(server, server, 'fill');
      client.reset(tell, 8);
      client.reset(echo, 8);
      client.socket.end();
      expect(await server.judged()).toEqual(both('silent'));
    });

    test('client makes a mistake for which the connection is ended', async () => {
      const server = await serve(transport, 'never');
      (await raw(server, server)).client.blunder();
      expect(await server.judged()).toEqual(both('silent'));
    });

    // Node sends no ping on a connection that is going away, and grpc-js takes that for a failure.
    test('client goes away without an error while it still has streams', async () => {
      const server = await serve(transport, 'soon');
      (await raw(server, server)).client.goAway(0);
      expect(await server.judged()).toEqual(both('silent'));
      await until('the socket is gone', () => server.connections.size === 0);
    });

    test('client closes its channel and keeps its calls', async () => {
      const server = await serve(transport, 'soon');
      (await clientAt(server)).tell('close');
      expect(await server.judged()).toEqual(both('silent'));
    });

    test('server is forced to stop', async () => {
      const server = await serve(transport, 'never');
      await clientAt(server);
      server.connections.destroyAll();
      expect(await server.judged()).toEqual(both('silent'));
    });
  });
});
