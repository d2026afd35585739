/** Calls that lie about their messages: each is answered by a status of gRPC, nothing is held, and nobody else waits for it (G10). */
import { deflateSync, gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { BareConnection, BareSession, encodeSession } from '../harness/bare-streams.ts';
import { Target } from '../harness/hostile-target.ts';
import { message, times } from '../harness/hostile-wire.ts';
import { v1 } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';
import { RawCall } from '../unit/edge/harness.ts';

const { Acquire, List, Session } = v1.LockService.service;
const OK = String(status.OK);
const INVALID = String(status.INVALID_ARGUMENT);
const EXHAUSTED = String(status.RESOURCE_EXHAUSTED);
const UNIMPLEMENTED = String(status.UNIMPLEMENTED);
/** The stream ends without a status of gRPC: the answer is that of HTTP. */
const NONE = 'none';

const list = List.requestSerialize({});
const acquire = Acquire.requestSerialize({ resources: ['taken'], owner: 'o', ttl: { seconds: 1 } });
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const gzip = { 'grpc-encoding': 'gzip' };
const zeros = Buffer.alloc(64 * limits.messageBytes);

let target: Target;
const open: { close(): unknown }[] = [];

beforeAll(async () => {
  target = await Target.start();
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => target.stop());

async function answer(path: string, body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  const raw = new RawCall(target.address, path, headers);
  open.push(raw);
  raw.stream.end(body);
  const said = await raw.status;
  await target.citizen.served();
  return said;
}

async function nothingHeld(): Promise<void> {
  await until('nothing is held but by the client beside', async () => {
    const { locks } = await target.replica.client.list({});
    return locks.every(({ resource }) => resource.startsWith('citizen/'));
  });
}

type Case = [name: string, body: Buffer, said: string, headers?: Record<string, string>];

describe('a call of List', () => {
  test.each<Case>([
    ['of another content type', message(list), NONE, { 'content-type': 'application/json' }],
    ['of no content type', message(list), NONE, { 'content-type': '' }],
    ['without a message', Buffer.alloc(0), INVALID],
    ['that ends within the length', message(list).subarray(0, 3), INVALID],
    ['shorter than it says', message(list, 0, 100), INVALID],
    ['that says 4 GiB', message(list, 0, 0xff_ff_ff_ff), EXHAUSTED],
    ['that says one byte too many', message(list, 0, limits.messageBytes + 1), EXHAUSTED],
    ['longer than it says', message(bytes('0a0161 0a0161'), 0, 3), OK],
    ['a thousand times', times(1000, () => message(list)), INVALID],
    ['with a flag that means nothing', message(list, 255), OK],
    ['packed by nothing', message(list, 1), OK],
    ['packed by an unknown art', message(list, 1), UNIMPLEMENTED, { 'grpc-encoding': 'x'.repeat(4000) }],
    ['packed that is not', message(Buffer.from('no gzip at all'), 1), INVALID, gzip],
    ['packed and cut', message(gzipSync(Buffer.alloc(999)).subarray(0, 12), 1), INVALID, gzip],
    ['packed by gzip', message(gzipSync(list), 1), OK, gzip],
    ['packed by deflate', message(deflateSync(list), 1), OK, { 'grpc-encoding': 'deflate' }],
    ['that unpacks to 64 MiB', message(gzipSync(zeros), 1), EXHAUSTED, gzip],
    ['that deflates to 64 MiB', message(deflateSync(zeros), 1), EXHAUSTED, { 'grpc-encoding': 'deflate' }],
    ['packed twice over', times(2, () => message(gzipSync(list), 1)), INVALID, gzip],
    ['once packed and once not', Buffer.concat([message(gzipSync(list), 1), message(list)]), INVALID, gzip],
    ['once not and once packed', Buffer.concat([message(list), message(gzipSync(list), 1)]), INVALID, gzip],
    ['with a time that is none', message(list), INVALID, { 'grpc-timeout': 'soon' }],
    ['with binary metadata that is text', message(list), OK, { 'x-bin': '!!!', 'y-bin': ',,,' }],
    ['with 15 KiB of metadata', message(list), OK, { large: 'v'.repeat(15_000) }],
  ])('%s', async (_name, body, said, headers) => {
    expect(await answer(List.path, body, headers)).toBe(said);
  });

  test.each([
    '/',
    '/holdfast.v1.LockService/',
    '/holdfast.v1.LockService/list',
    '/../../etc/passwd',
    `/${'x'.repeat(9000)}`,
  ])('by a path that nobody serves: %.40s', async (path) =>
    expect(await answer(path, message(list))).toBe(UNIMPLEMENTED),
  );
});

describe('an Acquire whose bytes', () => {
  // Owner and resource are there in each, so that only what is wrong can make it fail.
  test.each<Case>([
    ['are cut', message(acquire.subarray(0, -1)), INVALID],
    ['nest deeper than any stack', message(Buffer.alloc(limits.messageBytes, 0x0b)), INVALID],
    ['close what was not opened', message(Buffer.concat([acquire, bytes('0c')])), INVALID],
    ['give a string as a number', message(Buffer.concat([acquire, bytes('1001')])), INVALID],
    [
      'have a varint of eleven bytes',
      message(Buffer.concat([acquire, bytes('30 ffffffffffffffffffff 01')])),
      INVALID,
    ],
    [
      'have a field that is longer than all',
      message(Buffer.concat([acquire, bytes('12 ffffffff 0f')])),
      INVALID,
    ],
    ['have a field 0', message(Buffer.concat([acquire, bytes('02 01 00')])), OK],
    [
      'have fields that nobody knows',
      message(Buffer.concat([acquire, bytes('fa 7f 03 616263 f8 7f 01')])),
      OK,
    ],
    ['have a name that is no UTF-8', message(Buffer.concat([acquire, bytes('0a 02 c328')])), INVALID],
    ['have an owner that is no UTF-8', message(Buffer.concat([acquire, bytes('12 02 c328')])), INVALID],
    ['say the owner thrice', message(Buffer.concat([acquire, bytes('12 01 70 12 01 71')])), OK],
    ['have half a million names', message(Buffer.alloc(limits.messageBytes, bytes('0a00'))), INVALID],
    [
      'have half a million labels',
      message(Buffer.concat([acquire, Buffer.alloc(900_000, bytes('4a00'))])),
      INVALID,
    ],
    [
      'have half a million ttls',
      message(Buffer.concat([acquire, Buffer.alloc(900_000, bytes('1a00'))])),
      INVALID,
    ],
  ])('%s', async (_name, body, said) => {
    expect(await answer(Acquire.path, body)).toBe(said);
    if (said !== OK) await nothingHeld();
  });
});

test('a packed Acquire is granted as any other', async () => {
  await until(
    'its like have expired',
    async () => (await target.replica.client.tryLock('taken')) !== undefined,
  );
  const again = Acquire.requestSerialize({ resources: ['packed'], owner: 'o', ttl: { seconds: 1 } });
  expect(await answer(Acquire.path, message(gzipSync(again), 1), gzip)).toBe(OK);
  expect((await target.replica.client.inspect('packed')).holders).toHaveLength(1);
});

describe('a session', () => {
  const ended = async (body: Buffer): Promise<string> => {
    const raw = new RawCall(target.address, Session.path, gzip);
    open.push(raw);
    raw.stream.write(body);
    return raw.status;
  };

  test('reads packed messages', async () => {
    const connection = await BareConnection.to(target.address);
    open.push(connection);
    const session = new BareSession(
      connection.session.request({
        ':method': 'POST',
        ':path': Session.path,
        'content-type': 'application/grpc',
        ...gzip,
      }),
    );
    const ops = [{ seq: 1, check_token: { resource: 'citizen/kept', fencing_token: 1 } }];
    session.stream.write(message(gzipSync(encodeSession({ ops })), 1));
    expect((await session.result(1)).check_token?.current).toBe(false);
  });

  test.each<[string, Buffer, string]>([
    ['that unpacks to 64 MiB', message(gzipSync(zeros), 1), EXHAUSTED],
    ['that is not packed as it says', message(Buffer.from('no gzip'), 1), INVALID],
    ['that says 4 GiB', message(Buffer.alloc(9), 1, 0xff_ff_ff_ff), EXHAUSTED],
  ])('ends with a message %s', async (_name, body, said) => {
    expect(await ended(body)).toBe(said);
    await target.citizen.served();
  });
});

test('the service is well', () => target.unharmed());
