/** Callers that leave early, lie or babble: nothing they do reaches the locks or harms anybody else. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import type { Edge } from '../../src/edge/server.ts';
import type { AcquireAsk, Locks } from '../../src/locks/locks.ts';
import { acquireRequest, contract, RawCall, Stage, unary } from '../unit/edge/harness.ts';

const { locks: rpc } = contract;
let stage: Stage;
let edge: Edge;
let address: string;

beforeEach(async () => {
  stage = new Stage();
  edge = await stage.edge();
  address = edge.addresses[0]!;
});
afterEach(() => stage.close());

/** Grants only when told to, so that a caller can leave meanwhile. */
function lateGrant(replayed = false): { grant(): void; onAcquire: Locks['acquire'] } {
  const waiting: (() => void)[] = [];
  return {
    grant: () => {
      for (const go of waiting.splice(0)) go();
    },
    onAcquire: (ask: AcquireAsk) =>
      new Promise((resolve) => {
        waiting.push(() => resolve({ ...stage.locks.grant(ask), replayed }));
      }),
  };
}

describe('a caller that has left', () => {
  const start = (options: object) => {
    const client = stage.client(address);
    const body = acquireRequest() as never;
    return client.makeUnaryRequest(
      rpc.Acquire.path,
      rpc.Acquire.requestSerialize,
      rpc.Acquire.responseDeserialize,
      body,
      options,
      () => {},
    );
  };
  const gone = () => vi.waitFor(() => expect(stage.locks.acquires[0]?.caller.gone()).toBe(true), 10_000);

  test('does not keep the lease that it was granted too late to hear of', async () => {
    const late = lateGrant();
    stage.locks.onAcquire = late.onAcquire;
    const call = start({});
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    expect(stage.locks.acquires[0]?.caller.gone()).toBe(false);
    call.cancel();
    await gone();
    late.grant();
    await vi.waitFor(() => expect(stage.locks.givenBack).toHaveLength(1), 10_000);
    expect(stage.locks.givenBack[0]).toMatchObject({ token: 1n });
    expect(stage.calls).toEqual(['holdfast.v1.LockService/Acquire CANCELLED']);
  });

  test('is gone when its deadline has passed', async () => {
    const late = lateGrant();
    stage.locks.onAcquire = late.onAcquire;
    start({ deadline: Date.now() + 200 });
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    await gone();
    late.grant();
    await vi.waitFor(() => expect(stage.locks.givenBack).toHaveLength(1), 10_000);
  });

  test.each([
    ['cancels', Infinity, (call: ReturnType<typeof start>) => call.cancel()],
    ['lets its deadline pass', 200, () => {}],
    ['is cut off', Infinity, () => edge.stop()],
  ])('is told of to whoever waits for it when it %s', async (_how, leftMs, leave) => {
    let gone = 0;
    stage.locks.onAcquire = (ask, caller) =>
      new Promise((resolve) => {
        caller.whenGone(() => {
          gone += 1;
          resolve(stage.locks.grant(ask));
        });
      });
    const call = start({ deadline: Date.now() + leftMs });
    await vi.waitFor(() => expect(stage.locks.acquires).toHaveLength(1), 10_000);
    await leave(call);
    await vi.waitFor(() => expect(stage.locks.givenBack).toHaveLength(1), 10_000);
    expect(gone).toBe(1);
  });

  test('does not end the lease of the request that it repeated', async () => {
    const late = lateGrant(true);
    stage.locks.onAcquire = late.onAcquire;
    start({}).cancel();
    const call = start({});
    await vi.waitFor(() => expect(stage.locks.acquires.length).toBeGreaterThan(0), 10_000);
    call.cancel();
    await gone();
    late.grant();
    // The drain waits for handlers, so that this one is over for sure.
    await edge.drain(10_000);
    expect(stage.locks.givenBack).toEqual([]);
  });

  test('never reaches the locks when its deadline passed before it arrived', async () => {
    const raw = new RawCall(address, rpc.Acquire.path, { 'grpc-timeout': '1n' });
    stage.onClose(() => raw.close());
    raw.send(rpc.Acquire.requestSerialize(acquireRequest()));
    raw.stream.end();
    expect(await raw.status).toBe(String(status.DEADLINE_EXCEEDED));
    await raw.settled();
    expect(stage.locks.acquires).toEqual([]);
  });

  test('never reaches the locks when its deadline passed before its request was complete', async () => {
    const raw = new RawCall(address, rpc.Acquire.path, { 'grpc-timeout': '50m' });
    stage.onClose(() => raw.close());
    raw.send(rpc.Acquire.requestSerialize(acquireRequest()));
    expect(await raw.status).toBe(String(status.DEADLINE_EXCEEDED));
    // grpc-js would run the handler now.
    raw.stream.end();
    await raw.settled();
    expect(stage.locks.acquires).toEqual([]);
    expect(stage.calls[0]).toBe('holdfast.v1.LockService/Acquire DEADLINE_EXCEEDED');
  });
});

describe('what is no gRPC', () => {
  const ends = (bytes: Buffer): Promise<void> =>
    new Promise((resolve) => {
      const [host, port] = address.split(':');
      const socket = connect(Number(port), host, () => socket.write(bytes));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
    });

  test('garbage ends its own connection and nothing else', async () => {
    await ends(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    await ends(Buffer.alloc(4096, 0xff));
    expect(await unary(stage.client(address), rpc.List, {})).toBeDefined();
  });

  test.each([
    ['a bad grpc-timeout', { 'grpc-timeout': 'soon' }, status.INVALID_ARGUMENT],
    ['an unknown compression', { 'grpc-encoding': 'lzma' }, status.UNIMPLEMENTED],
  ])('%s is answered', async (_what, headers, code) => {
    const raw = new RawCall(address, rpc.Acquire.path, headers);
    stage.onClose(() => raw.close());
    const message = rpc.Acquire.requestSerialize(acquireRequest());
    const frame = Buffer.concat([Buffer.from([1, 0, 0, 0, message.length]), message]);
    raw.stream.end(frame);
    expect(await raw.status).toBe(String(code));
    expect(stage.locks.acquires).toEqual([]);
  });

  test('a small body that unpacks to a huge one is refused by a typed reason', async () => {
    const packed = gzipSync(Buffer.alloc(64 * limits.messageBytes));
    const raw = new RawCall(address, rpc.Acquire.path, { 'grpc-encoding': 'gzip' });
    stage.onClose(() => raw.close());
    const head = Buffer.from([1, 0, 0, 0, 0]);
    head.writeUInt32BE(packed.length, 1);
    raw.stream.end(Buffer.concat([head, packed]));
    expect(await raw.status).toBe(String(status.RESOURCE_EXHAUSTED));
    expect(stage.locks.acquires).toEqual([]);
  });

  test('a call without a message, or with two, is the caller’s fault', async () => {
    const none = new RawCall(address, rpc.Acquire.path);
    const two = new RawCall(address, rpc.Acquire.path);
    stage.onClose(() => Promise.all([none.close(), two.close()]));
    none.stream.end();
    const message = rpc.Acquire.requestSerialize(acquireRequest());
    two.send(message);
    two.send(message);
    two.stream.end();
    const codes = await Promise.all([none.status, two.status]);
    expect(codes).toEqual([String(status.INVALID_ARGUMENT), String(status.INVALID_ARGUMENT)]);
    expect(stage.locks.acquires).toEqual([]);
  });
});
