/** What the interceptor records of streams that keep leases: short spans, and the code with which each call ended. */
import { Metadata, type ServerInterceptingCallInterface, status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { openToAll } from '../../../src/edge/access/authenticator.ts';
import { IdleStreams } from '../../../src/edge/idle-streams.ts';
import { resetCall, watchCalls } from '../../../src/edge/interceptor.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { contract } from './stream-scene.ts';

type Method = 'Hold' | 'Session' | 'Watch';

class InnerCall {
  readonly stream = { codes: [] as number[], close: (code: number) => this.stream.codes.push(code) };
  readonly sent: unknown[] = [];
  listener: { onReceiveMetadata(metadata: Metadata): void; onCancel(): void } | undefined;

  start(listener: never): void {
    this.listener = listener;
  }

  sendMetadata(): void {}

  sendMessage(message: unknown): void {
    this.sent.push(message);
  }

  sendStatus(): void {}

  getDeadline(): number {
    return Infinity;
  }

  getHost(): string {
    return 'here:1';
  }

  getConnectionInfo(): object {
    return {};
  }
}

function watched(name: Method) {
  const spans: string[] = [];
  const calls: string[] = [];
  const tracing = {
    begin: ({ method }: { method: string }) => {
      spans.push(`begin ${method.split('/')[1]}`);
      return { run: (act: () => void) => act(), end: (code: status) => spans.push(`end ${status[code]}`) };
    },
  };
  const onCall = (method: string, code: string): void => {
    calls.push(`${method.split('/')[1]} ${code}`);
  };
  const inner = new InnerCall();
  const definition = contract.locks[name] as never;
  const watch = {
    clock: new ManualClock(),
    authenticator: openToAll,
    certificateOf: undefined,
    onUnknown() {},
    tracing,
    onCall,
  };
  const interceptor = watchCalls(watch, new IdleStreams());
  const call = interceptor(definition, inner as unknown as ServerInterceptingCallInterface);
  let begun = false;
  call.start({
    onReceiveMetadata: () => (begun = true),
    onReceiveMessage() {},
    onReceiveHalfClose() {},
    onCancel() {},
  } as never);
  inner.listener!.onReceiveMetadata(new Metadata());
  const send = (message: object): void => call.sendMessage(message, () => {});
  return { spans, calls, inner, call, send, begun: () => begun };
}

const ended = { code: status.OK, details: 'OK', metadata: new Metadata() };

describe('the span of a Hold', () => {
  test.each(['granted', 'busy'])('ends with the wait: %s', (event) => {
    const { spans, send, call, calls } = watched('Hold');
    send({ queued: {} });
    expect(spans).toEqual(['begin Hold']);
    send({ [event]: {} });
    expect(spans).toEqual(['begin Hold', 'end OK']);
    send({ renewed: {} });
    call.sendStatus(ended);
    expect([spans.length, calls]).toEqual([2, ['Hold OK']]);
  });

  test('ends with the refusal', () => {
    const { spans, call } = watched('Hold');
    call.sendStatus({ ...ended, code: status.UNAVAILABLE });
    expect(spans).toEqual(['begin Hold', 'end UNAVAILABLE']);
  });
});

test('a session has none, and is counted like every call', () => {
  const { spans, calls, send, inner, begun } = watched('Session');
  send({ results: [] });
  inner.listener!.onCancel();
  expect([spans, calls, begun()]).toEqual([[], ['Session CANCELLED'], true]);
});

test('the span of a Watch lasts as long as the stream', () => {
  const { spans, send, call } = watched('Watch');
  send({ events: [] });
  expect(spans).toEqual(['begin Watch']);
  call.sendStatus(ended);
  expect(spans.length).toBe(2);
});

test('a reset ends the transport, and counts as cancelled, whatever grpc-js makes of the writes that then fail', () => {
  const { inner, call, calls } = watched('Hold');
  resetCall({ call });
  call.sendStatus({ ...ended, code: status.INTERNAL });
  expect([inner.stream.codes, calls]).toEqual([[8], ['Hold CANCELLED']]);
  expect(() => resetCall({})).not.toThrow();
});
