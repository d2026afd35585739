/** What tells the ends of streams apart, switched off: simpler rules give locks away, and ends go unnoticed. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, test } from 'vitest';
import { endReset, STREAM_CLOSE } from '../../src/edge/connections.ts';
import { type Clock, ManualClock } from '../../src/std/clock.ts';
import { Cable } from '../harness/cable.ts';
import { RawClient } from '../harness/raw-client.ts';
import { ClientProcess } from '../harness/stream-client.ts';
import { ECHO, StreamServer, TELL } from '../harness/stream-server.ts';
import { until } from '../harness/until.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

async function serve(keepalive: 'soon' | 'never', clock?: Clock): Promise<StreamServer> {
  const server = await StreamServer.start('tcp', keepalive, clock);
  closing.push(() => server.close());
  return server;
}

async function clientAt(server: StreamServer): Promise<ClientProcess> {
  const client = await ClientProcess.start(server.where, 'grpc');
  closing.push(() => client.end());
  return client;
}

function rawAt(at: StreamServer | Cable): RawClient {
  const client = new RawClient(at.where);
  closing.push(() => client.socket.destroy());
  return client;
}

test('a socket that still stands when its stream ends says nothing: it stands for a silent client, too', async () => {
  const server = await serve('soon');
  const client = await clientAt(server);
  client.signal('SIGSTOP');
  expect(await server.judged()).toEqual(['silent', 'silent']);
  expect(server.seen.map(({ byStanding }) => byStanding)).toEqual(['closed', 'closed']);
});

test('bytes that were read of late say nothing: they come from a client that hears nothing, too', async () => {
  // The rule looks from time to time, and may be right by chance.
  await until('the rule is wrong', async () => {
    const server = await serve('soon');
    const cable = await Cable.to(server.where);
    closing.push(() => cable.close());
    const client = rawAt(cable);
    const echo = client.open(ECHO, 'hi', false);
    const seen = await server.stream(ECHO);
    cable.cut('out');
    await until('the stream ended', () => {
      client.say(echo, 'still here');
      return seen.over;
    });
    expect(seen.judged).toBe('silent');
    return seen.byBytes === 'closed';
  });
});

test('a stream that is reset with NO_ERROR during a write ends at once; by itself it would stay for ever', async () => {
  unsubscribe(STREAM_CLOSE, endReset);
  closing.push(() => subscribe(STREAM_CLOSE, endReset));
  const server = await serve('never');
  const client = rawAt(server);
  const [tell, echo] = [client.open(TELL, 'pour', true), client.open(ECHO, 'pour', false)];
  for (const path of [TELL, ECHO]) await server.stream(path);
  await server.full();
  client.reset(echo, 0);
  client.reset(tell, 8);
  const [told, echoed] = [await server.stream(TELL), await server.stream(ECHO)];
  await until('the other stream ended, which was reset later', () => told.over);
  await until('the stream is half closed, and no more', () => echoed.names.includes('end'));
  expect(echoed.names).toEqual(['end']);
  echoed.call.destroy();
  await until('only we end it', () => echoed.over);

  subscribe(STREAM_CLOSE, endReset);
  const again = client.open(ECHO, 'pour', false);
  await until('a second stream', () => server.seen.length === 3);
  await server.full();
  client.reset(again, 0);
  await until('it ended', () => server.seen[2]!.over);
  expect(server.seen[2]!.names).toEqual(['end', 'cancelled', 'close']);
  unsubscribe(STREAM_CLOSE, endReset);
});

test('a dead connection whose peer reads nothing is given up; by itself its socket would stay', async () => {
  const clock = new ManualClock();
  const server = await serve('soon', clock);
  const client = rawAt(server);
  const [tell, echo] = [client.open(TELL, 'pour', true), client.open(ECHO, 'pour', false)];
  await server.stream(ECHO);
  client.socket.pause();
  for (const stream of [tell, echo]) client.widen(stream);
  await server.full();
  expect(await server.judged()).toEqual(['silent', 'silent']);
  expect(server.connections.size).toBe(1);
  clock.advance(1000);
  expect(server.connections.size).toBe(1);
  clock.advance(1000);
  await until('the socket is gone', () => server.connections.size === 0);
});

test('a server that stood still calls nobody closed, although their answers wait to be read', async () => {
  const server = await serve('soon');
  const client = await clientAt(server);
  client.signal('SIGSTOP');
  const { socket } = server.sockets[0]!;
  const before = socket.bytesWritten;
  await until('a ping is on its way', () => socket.bytesWritten > before);
  // From here the timers come before what there is to read.
  await new Promise(setImmediate);
  client.signal('SIGCONT');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  expect(await server.judged()).toEqual(['silent', 'silent']);
});
