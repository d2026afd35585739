/** More connections than anybody needs, at both ports: who is connected is served on, who comes is served, and all of it is given back (G10). */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Census, Target } from '../harness/hostile-target.ts';
import { Attacker, called, frame, HEADERS, odd, opened, times } from '../harness/hostile-wire.ts';
import { RpcClient } from '../harness/rpc-client.ts';
import { repeat, until } from '../harness/until.ts';
import { contract, Stage, unary } from '../unit/edge/harness.ts';

/** What this process itself may have open, less what it needs. */
const OWN_FILES = Number(/Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]) - 500;
const CROWD = Math.min(10_000, OWN_FILES);
const AGAIN = Math.ceil(CROWD / 5);
const AT_ONCE = 250;
/** About 30 KiB each were seen. */
const CONNECTION_KIB = 64;
const NOISE_MIB = 32;
const HEAP_MIB = 3;
const SPARE_FILES = 40;
/** To count ten thousand descriptors takes a while. */
const LOOK_MS = 50;

let target: Target;
const sockets: Socket[] = [];
const attackers: Attacker[] = [];

beforeAll(async () => {
  target = await Target.start();
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const attacker of attackers.splice(0)) attacker.close();
});
afterAll(() => target.stop());

/** Resolves when it is connected, or was refused. */
function dial(address: string): Promise<Socket> {
  const [host, port] = address.split(':') as [string, string];
  const socket = connect({ host, port: Number(port) });
  sockets.push(socket);
  socket.on('error', () => {});
  socket.resume();
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('close', () => resolve(socket));
  });
}

async function dialMany(address: string, count: number): Promise<void> {
  await repeat(Math.ceil(count / AT_ONCE), async (round) => {
    const now = Math.min(AT_ONCE, count - round * AT_ONCE);
    await Promise.all(Array.from({ length: now }, () => dial(address)));
  });
}

async function newcomerServed(): Promise<void> {
  const client = new RpcClient(target.address, { 'grpc.use_local_subchannel_pool': 1 });
  const lease = await client.lock('newcomer');
  expect(await client.release(lease.lease_id)).toBe(true);
  client.close();
}

async function alive(): Promise<void> {
  const { status } = await fetch(`${target.http}/livez`, { headers: { connection: 'close' } });
  expect(status).toBe(200);
}

/** What it has when everybody else has gone. */
async function alone(files: number): Promise<Census> {
  await until('their connections are gone', () => target.files <= files, 60_000, LOOK_MS);
  return target.census();
}

test(`${CROWD} connections: who is connected and who comes is served, and a crowd like the last costs no more`, async () => {
  await alive();
  const { files } = target;
  const seen: Census[] = [];
  for (const count of [CROWD, AGAIN, AGAIN]) {
    await dialMany(target.address, count);
    await until('all have been taken', () => target.files >= files + count, 60_000, LOOK_MS);
    await Promise.all([target.citizen.served(), newcomerServed(), alive()]);
    for (const socket of sockets.splice(0)) socket.destroy();
    seen.push(await alone(files + 4));
  }
  const [, first] = seen as [Census, Census];
  const second = await target.shrunk(first.heapMiB + HEAP_MIB);
  const figures = JSON.stringify({ first, second, peakMiB: target.peakMiB });
  expect(target.peakMiB, figures).toBeLessThan(256 + (CROWD * CONNECTION_KIB) / 1024);
  expect(second.rssMiB - first.rssMiB, figures).toBeLessThan(NOISE_MIB);
  await target.unharmed();
}, 180_000);

test('connections that come and go leave nothing', async () => {
  const { files } = target;
  await repeat(8, async () => {
    await dialMany(target.address, AT_ONCE);
    for (const [at, socket] of sockets.splice(0).entries()) {
      if (at % 2 === 0) socket.resetAndDestroy();
      else socket.end('PRI * HTTP');
    }
  });
  await target.citizen.served();
  await alone(files + 4);
});

test('whoever says nothing, or a call byte by byte, is gone when it has not answered a ping', async () => {
  const stage = new Stage();
  const edge = await stage.edge({ keepalive: { timeMs: 300, timeoutMs: 300 } });
  const address = edge.addresses[0]!;
  const mute = await Promise.all(Array.from({ length: 50 }, () => dial(address)));
  // Whoever is in the middle of a frame has no room for an answer.
  const slow = await Attacker.to(address, { answers: false });
  attackers.push(slow);
  const letters = opened(1, { more: [['slow', 'loris']] })
    .subarray(0, -1)
    .values();
  await until('they are gone', async () => {
    const { value } = letters.next();
    if (value !== undefined) slow.send(Buffer.from([value]));
    return slow.closed && mute.every(({ closed }) => closed);
  });
  expect(slow.count(HEADERS)).toBe(0);
  expect(await unary(stage.client(address), contract.locks.List, {})).toBeDefined();
  await stage.close();
});

test('readers that take nothing hold up nobody else', async () => {
  const wide = await Attacker.to(target.address);
  attackers.push(wide);
  // A window of 0 for each stream.
  wide.send(frame(4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
  wide.send(times(500, (at) => called(odd(at), { path: ['List', 'Watch', 'Hold', 'Inspect'][at % 4]! })));
  const deaf = await Attacker.to(target.address, { reads: false });
  attackers.push(deaf);
  deaf.send(times(2000, (at) => called(odd(at), { path: 'Watch' })));
  for (const _round of [1, 2, 3]) await target.citizen.served();
  await wide.settled();
  expect(wide.closed).toBe(false);
  await target.unharmed();
});

test('when no descriptor is left, who is connected is served, and others once there is room', async () => {
  const { files } = target;
  target.limitFiles(files + SPARE_FILES);
  await dialMany(target.address, AT_ONCE);
  await target.citizen.served();
  await until('it took what it could', () => target.files >= files + SPARE_FILES - 4);
  await until(
    'it let go of the others',
    () => sockets.filter(({ closed }) => closed).length > AT_ONCE - 2 * SPARE_FILES,
  );
  for (const socket of sockets.splice(0)) socket.destroy();
  await until('there is room', () => target.files < files + SPARE_FILES / 2);
  await newcomerServed();
  target.limitFiles(20_000);
  await target.unharmed();
});

describe('the side door', () => {
  const asked = async (text: string): Promise<string> => {
    const socket = await dial(target.replica.http);
    let said = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      said += chunk;
    });
    socket.write(text);
    await until('it is answered or closed', () => socket.closed || said.includes('\r\n\r\n'));
    return said.split('\r\n', 1)[0]!;
  };
  const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

  test.each<[string, string, string]>([
    ['garbage', '\u0000\u00ff\u0001garbage\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
    ['a path out of its folder', get('/../../../etc/passwd'), 'HTTP/1.1 404 Not Found'],
    ['the same in disguise', get('/metrics/%2e%2e/%2e%2e/etc/passwd'), 'HTTP/1.1 404 Not Found'],
    ['a path with a nul', get('/livez%00'), 'HTTP/1.1 404 Not Found'],
    [
      'headers of 9 KiB',
      get('/livez', `Large: ${'v'.repeat(9000)}\r\n`),
      'HTTP/1.1 431 Request Header Fields Too Large',
    ],
    ['3,000 headers', get('/livez', 'a:b\r\n'.repeat(3000)), 'HTTP/1.1 431 Request Header Fields Too Large'],
    [
      'a body twice as long as it says',
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxx`,
      'HTTP/1.1 405 Method Not Allowed',
    ],
    [
      'two lengths',
      get('/livez', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'),
      'HTTP/1.1 400 Bad Request',
    ],
  ])('answers %s and goes on', async (_what, text, line) => {
    expect(await asked(text)).toBe(line);
    await alive();
  });

  test('answers a probe while 1,000 others say nothing, or little', async () => {
    await dialMany(target.replica.http, 1000);
    for (const socket of sockets) socket.write('GET /livez HTTP/1.1\r\nHo');
    await alive();
    await dialMany(target.replica.http, 200);
    await alive();
    await target.unharmed();
  });
});

test('the process is the one that was started', async () => {
  await target.unharmed();
  expect(readFileSync(`/proc/${target.pid}/cmdline`, 'latin1')).toContain('serve');
});
