/** Broken, endless and lying HTTP/2 at the port: each ends its own stream or connection, and a second time costs nothing more (G10). */
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { type Census, Target } from '../harness/hostile-target.ts';
import {
  ACK,
  Attacker,
  CANCEL,
  CONTINUATION,
  called,
  callHeaders,
  DATA,
  data,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  frame,
  GOAWAY,
  HEADERS,
  hpack,
  hpackText,
  type Manners,
  message,
  odd,
  opened,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  times,
  uint32,
  WINDOW_UPDATE,
} from '../harness/hostile-wire.ts';
import { until } from '../harness/until.ts';

/** `dies`: the connection is ended. `reset`: the stream is. `lives`: the connection goes on as if nothing were. */
type End = 'dies' | 'reset' | 'lives';
type Attack = [name: string, bytes: () => Buffer, end: End, manners?: Manners];

/** By hand more; the bounds below hold for any number. */
const MANY = Number(process.env.HOLDFAST_HOSTILE ?? 3000);
const OPEN_MAX = 4096;
/** What a round may leave in the heap, where compiled code and maps still grow. */
const HEAP_MIB = 6;
/** What memory that was had and freed may stay with the allocator, which keeps it in pieces. */
const RSS_MIB = 96;
/** Far below what it would have without its guards: gigabytes. */
const PEAK_MIB = 1024;

const setting = (id: number, value: number): Buffer =>
  frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, id]), uint32(value)]));
const reset = (stream: number, code = CANCEL): Buffer => frame(RST_STREAM, 0, stream, uint32(code));
const window = (stream: number, bytes: number): Buffer => frame(WINDOW_UPDATE, 0, stream, uint32(bytes));
const after = (stream: number, on: number): Buffer =>
  frame(PRIORITY, 0, stream, Buffer.concat([uint32(on), Buffer.from([255])]));

/** One large header is remembered, and fifteen more times named by a byte each. */
function bomb(name: string): Buffer {
  const large = Buffer.concat([Buffer.from([0x40]), hpackText(name), hpackText('v'.repeat(3900))]);
  const again = Buffer.concat([callHeaders(), Buffer.alloc(15, 0x80 | 62)]);
  return Buffer.concat([
    frame(HEADERS, END_HEADERS, 1, Buffer.concat([callHeaders(), large])),
    times(OPEN_MAX - 1, (index) => frame(HEADERS, END_HEADERS, odd(index + 1), again)),
  ]);
}

/** As many messages as the window of a stream takes. */
function stuffed(path: string, one: Buffer, streams: number): Buffer {
  const body = times(Math.floor(65_000 / one.length), () => one);
  return times(streams, (index) =>
    Buffer.concat([
      opened(odd(index), { path, more: [['grpc-encoding', 'gzip']] }),
      data(odd(index), body, 0),
    ]),
  );
}

const packedZeros = message(gzipSync(Buffer.alloc(limits.messageBytes)), 1);
const HEALTH = '/grpc.health.v1.Health/Check';

const attacks: readonly Attack[] = [
  ['calls by HEAD', () => times(9, (at) => called(odd(at), { method: 'HEAD', path: 'Watch' })), 'lives'],
  [
    'calls by CONNECT',
    () =>
      frame(
        HEADERS,
        END_HEADERS,
        1,
        hpack([
          [':method', 'CONNECT'],
          [':authority', 'x'],
        ]),
      ),
    'lives',
  ],
  [
    'calls without te and content type',
    () => times(9, (at) => called(odd(at), { te: '', contentType: '' })),
    'lives',
  ],
  [
    'metadata that is no text',
    () =>
      called(1, {
        more: [
          ['a!b', '1'],
          ['c', '\u00e9'],
          ['d-bin', '!\u00ff'],
        ],
      }),
    'lives',
  ],
  ['no HTTP/2 at all', () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'dies', { greets: false }],
  ['garbage', () => Buffer.alloc(65_536, 0xa5), 'dies', { greets: false }],
  ['garbage after the preface', () => Buffer.alloc(65_536, 0xa5), 'dies'],
  ['a frame that is too large', () => frame(DATA, 0, 1, Buffer.alloc(20_000)), 'dies'],
  ['a frame of 16 MiB', () => frame(DATA, 0, 1, Buffer.alloc(9), 0xff_ff_ff), 'dies'],
  ['unknown frames', () => times(100, (index) => frame(32 + index, index, index, Buffer.alloc(9))), 'lives'],
  ['unknown frames without end', () => times(20_000, () => frame(99, 0, 0)), 'dies'],
  ['an even stream', () => called(2), 'dies'],
  ['stream 0', () => called(0), 'dies'],
  ['a stream twice', () => Buffer.concat([called(3), called(3)]), 'dies'],
  ['a stream below the last', () => Buffer.concat([called(5), called(3)]), 'lives'],
  ['data before headers', () => data(1, message()), 'dies'],
  ['data after the end', () => Buffer.concat([called(1), times(MANY, () => data(1, message()))]), 'dies'],
  ['headers within headers', () => times(2, () => frame(HEADERS, 0, 1, callHeaders())), 'dies'],
  ['a continuation of nothing', () => frame(CONTINUATION, END_HEADERS, 1, callHeaders()), 'dies'],
  [
    'continuations without end',
    () =>
      Buffer.concat([
        frame(HEADERS, 0, 1, callHeaders()),
        times(MANY, () => frame(CONTINUATION, 0, 1, hpack([['a', 'b']]))),
      ]),
    'dies',
  ],
  ['HPACK garbage', () => frame(HEADERS, END_HEADERS, 1, Buffer.alloc(500, 0xff)), 'dies'],
  ['HPACK beyond its table', () => frame(HEADERS, END_HEADERS, 1, Buffer.from([0xff, 0x80, 0x01])), 'dies'],
  [
    'an HPACK table of 2 GiB',
    () => frame(HEADERS, END_HEADERS, 1, Buffer.from([0x3f, 0xe1, 0xff, 0xff, 0xff, 7])),
    'dies',
  ],
  [
    '300 headers',
    () => opened(1, { more: Array.from({ length: 300 }, (_, at) => [`h${at}`, 'v'] as const) }),
    'reset',
  ],
  ['a header of 15 KiB', () => called(1, { more: [['large', 'v'.repeat(15_000)]] }), 'lives'],
  [
    'headers of 16 KiB',
    () => opened(1, { more: ['a', 'b', 'c'].map((name) => [name, 'v'.repeat(5370)] as const) }),
    'reset',
  ],
  ['an HPACK bomb', () => bomb('x-large'), 'reset'],
  ['an HPACK bomb of binary headers', () => bomb('x-large-bin'), 'reset'],
  [
    'settings without end',
    () => times(20_000, () => frame(SETTINGS, 0, 0)),
    'dies',
    { answers: false, reads: false },
  ],
  [
    'settings that were never asked to be acknowledged',
    () => times(20_000, () => frame(SETTINGS, ACK, 0)),
    'dies',
  ],
  ['settings of odd length', () => frame(SETTINGS, 0, 0, Buffer.alloc(5)), 'dies'],
  ['a window of 4 GiB', () => setting(4, 0xff_ff_ff_ff), 'dies'],
  ['frames of one byte', () => setting(5, 1), 'dies'],
  [
    'pings without end',
    () => times(50_000, () => frame(PING, 0, 0, Buffer.alloc(8))),
    'dies',
    { reads: false },
  ],
  ['a window that grows by 0', () => Buffer.concat([opened(1), window(1, 0)]), 'dies'],
  ['a window that grows too far', () => Buffer.concat([opened(1), window(1, 0x7f_ff_ff_ff)]), 'dies'],
  ['a window of the connection that grows too far', () => window(0, 0x7f_ff_ff_ff), 'dies'],
  ['priorities in a ring', () => times(100, (at) => after(odd(at), odd((at + 1) % 100))), 'lives'],
  ['priorities without end', () => times(50_000, (at) => after(odd(at), odd(at + 1))), 'dies'],
  ['a stream that waits for itself', () => after(1, 1), 'lives'],
  ['a promise', () => frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([uint32(2), callHeaders()])), 'dies'],
  ['a goodbye', () => frame(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0), Buffer.alloc(9000)])), 'dies'],
  ['resets of nothing', () => times(100, (at) => reset(odd(at))), 'dies'],
  ['rapid reset', () => times(MANY, (at) => Buffer.concat([opened(odd(at)), reset(odd(at))])), 'lives'],
  [
    'rapid reset of whole calls',
    () => times(MANY, (at) => Buffer.concat([called(odd(at)), reset(odd(at))])),
    'lives',
  ],
  [
    'rapid reset of holds',
    () => times(MANY, (at) => Buffer.concat([opened(odd(at), { path: 'Hold' }), reset(odd(at), 0)])),
    'lives',
  ],
  [
    'resets that the service is made to send',
    () => times(MANY, (at) => Buffer.concat([opened(odd(at)), window(odd(at), 0)])),
    'dies',
  ],
  ['streams that never end', () => times(OPEN_MAX, (at) => opened(odd(at))), 'lives'],
  ['more streams than allowed', () => times(2 * OPEN_MAX, (at) => opened(odd(at))), 'dies'],
  [
    'empty data without end',
    () => Buffer.concat([opened(1), times(20_000, () => frame(DATA, 0, 1))]),
    'dies',
  ],
  [
    'a message that never ends',
    () => Buffer.concat([opened(1), frame(DATA, 0, 1, message().subarray(0, 3))]),
    'lives',
  ],
  [
    'trailers that are none',
    () => Buffer.concat([opened(1), frame(HEADERS, END_STREAM, 1, Buffer.alloc(9, 0xff))]),
    'dies',
  ],
  // 6 GiB of zeros, of which nobody reads a byte.
  ['compression bombs at Acquire', () => stuffed('Acquire', packedZeros, 100), 'lives'],
  ['a compression bomb for each window of a Watch', () => stuffed('Watch', packedZeros, 100), 'lives'],
  [
    'ten thousand packed messages a stream',
    () => stuffed('Acquire', message(Buffer.alloc(1), 1), 20),
    'lives',
  ],
  ['the same at the health service', () => stuffed(HEALTH, message(Buffer.alloc(1), 1), 20), 'lives'],
  ['bombs at the health service', () => stuffed(HEALTH, packedZeros, 20), 'lives'],
];

let target: Target;
const attackers: Attacker[] = [];

beforeAll(async () => {
  target = await Target.start();
});
afterEach(() => {
  for (const attacker of attackers.splice(0)) attacker.close();
});
afterAll(() => target.stop());

async function launch([name, bytes, end, manners]: Attack): Promise<void> {
  const attacker = await Attacker.to(target.address, manners);
  attackers.push(attacker);
  // What it has acknowledged holds for it.
  if (end === 'reset') await attacker.settled();
  attacker.send(bytes());
  await target.citizen.served();
  attacker.read();
  if (end === 'dies') {
    await until(`${name}: its connection has ended`, () => attacker.closed);
    return;
  }
  await attacker.settled();
  expect(attacker.closed, name).toBe(false);
  if (end === 'reset') expect(new Set(attacker.resets), name).toEqual(new Set([ENHANCE_YOUR_CALM]));
}

test.each<Attack>([...attacks])('%s', async (...attack) => {
  await launch(attack);
});

test('the service is as it was, and a second round of everything leaves nothing more', async () => {
  await target.unharmed();
  const settled = async (): Promise<Census> => {
    await until('their connections are gone', () => target.files <= before.files, 20_000);
    return target.census();
  };
  // The client beside has some connections; those to the side door come and go.
  const before = { files: target.files };
  const first = await settled();
  for (const attack of attacks) {
    await launch(attack);
    for (const attacker of attackers.splice(0)) attacker.close();
  }
  await target.unharmed();
  await settled();
  const second = await target.shrunk(first.heapMiB + HEAP_MIB);
  const figures = JSON.stringify({ first, second, peakMiB: target.peakMiB });
  expect(second.outsideMiB - first.outsideMiB, figures).toBeLessThan(HEAP_MIB);
  expect(second.rssMiB - first.rssMiB, figures).toBeLessThan(RSS_MIB);
  expect(second.timers, figures).toBeLessThanOrEqual(first.timers + 2);
  expect(target.peakMiB, figures).toBeLessThan(PEAK_MIB);
}, 120_000);
