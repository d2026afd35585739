/** The Watch stream: tells its reader what happens, and delays nobody when that reader is slow. */
import { type handleServerStreamingCall, Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { Refusal } from '../domain/refusals.ts';
import type { LockEvent, Watcher } from '../locks/locks.ts';
import type { Clock } from '../std/clock.ts';
import { malformed } from './calls.ts';
import { decodeWatch } from './decode.ts';
import { encodeNews } from './encode.ts';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import type { WatchRequest__Output } from './gen/holdfast/v1/WatchRequest.ts';
import type { WatchResponse } from './gen/holdfast/v1/WatchResponse.ts';
import { type CallContext, refused } from './lock-calls.ts';
import { MALFORMED } from './protos.ts';
import { draining, internal, isRefusal, toStatus } from './status.ts';

/** So many of the longest events still fit into one message. */
export const EVENTS_PER_MESSAGE = 256;
/** What is kept for a reader that does not keep up; beyond that the oldest are dropped, and counted. */
export const EVENTS_KEPT = 1024;
/** `missed` is a uint32. */
const MISSED_MAX = 2 ** 32 - 1;

type WatchCall = ServerWritableStream<WatchRequest__Output, WatchResponse>;

/** The watch streams that stand, so that a drain can end them. */
export class WatchStreams {
  readonly #standing = new Set<Watching>();

  add(watching: Watching): void {
    this.#standing.add(watching);
  }

  delete(watching: Watching): void {
    this.#standing.delete(watching);
  }

  end(refusal: Refusal): void {
    for (const watching of [...this.#standing]) watching.end(refusal);
  }
}

export interface WatchContext extends CallContext {
  readonly watches: WatchStreams;
}

class Watching implements Watcher {
  readonly #call: WatchCall;
  readonly #stops: (() => void)[] = [];
  #kept: LockEvent[] = [];
  #missed = 0;
  /** The reader is slow: nothing is written until the stream has drained. */
  #full = false;
  #due = false;
  #over = false;

  constructor(call: WatchCall) {
    this.#call = call;
    call.on('drain', () => {
      this.#full = false;
      this.#write();
    });
    // A reader that went away: grpc-js acknowledges no write any more, and would keep what is written.
    call.on('cancelled', () => this.#leave());
    call.on('error', () => this.#stop());
    call.on('close', () => this.#stop());
  }

  get over(): boolean {
    return this.#over;
  }

  /** `act` is called once the stream is over, whatever ended it. */
  onStop(act: () => void): void {
    if (this.#over) act();
    else this.#stops.push(act);
  }

  /** grpc-js ends the call, but may not say so while the reader takes nothing. */
  endAt(deadlineMs: number, clock: Clock): void {
    if (deadlineMs === Infinity) return;
    const timer = clock.after(Math.max(0, deadlineMs - clock.wallMicros() / 1000), () => this.#leave());
    this.onStop(() => timer.cancel());
  }

  event(event: LockEvent): void {
    if (this.#over) return;
    this.#kept.push(event);
    if (this.#kept.length > EVENTS_KEPT) {
      this.#kept.shift();
      this.#count(1);
    }
    if (!this.#full && this.#kept.length >= EVENTS_PER_MESSAGE) this.#write();
    else this.#schedule();
  }

  missed(count: number): void {
    if (this.#over) return;
    this.#count(count);
    this.#schedule();
  }

  /** Tells what it still knows, then why it ends. `emit` because destroying a call would send no status. */
  end(refusal: Refusal): void {
    if (this.#over) return;
    this.#full = false;
    while (this.#kept.length > 0 || this.#missed > 0) this.#writeOne();
    this.#call.emit('error', toStatus(refusal));
  }

  #count(missed: number): void {
    this.#missed = Math.min(MISSED_MAX, this.#missed + missed);
  }

  /** setImmediate, not a microtask: all that this turn of the loop brought shall travel together. */
  #schedule(): void {
    if (this.#due || this.#full) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      this.#write();
    });
  }

  #write(): void {
    while (!this.#over && !this.#full && (this.#kept.length > 0 || this.#missed > 0)) this.#writeOne();
  }

  #writeOne(): void {
    const missed = this.#missed;
    this.#missed = 0;
    this.#full = !this.#call.write(encodeNews(this.#kept.splice(0, EVENTS_PER_MESSAGE), missed));
  }

  #leave(): void {
    this.#stop();
    this.#call.destroy();
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#kept = [];
    for (const act of this.#stops.splice(0)) act();
  }
}

async function begin(context: WatchContext, call: WatchCall): Promise<Refusal | undefined> {
  if (context.draining()) return draining;
  const visit = context.visits.of(call);
  const over = visit.pace(call);
  if (over !== undefined) return over;
  const ask = call.request === MALFORMED ? malformed : decodeWatch(call.request);
  if (isRefusal(ask)) {
    visit.turnedAway('watch', ask);
    return ask;
  }
  const refusal = visit.mayWatch(ask) ?? visit.enterStream('watch');
  if (refusal !== undefined) return refusal;
  const watching = new Watching(call);
  context.watches.add(watching);
  watching.onStop(() => {
    context.watches.delete(watching);
    visit.leaveStream();
  });
  const deadline = call.getDeadline();
  watching.endAt(typeof deadline === 'number' ? deadline : deadline.getTime(), context.clock);
  watching.onStop(await visit.locks.watch(ask, watching));
  // Before the first event, so that the client knows from when on it will be told.
  if (!watching.over) call.sendMetadata(new Metadata());
  return undefined;
}

export function watchHandler(context: WatchContext): Pick<LockServiceHandlers, 'Watch'> {
  const Watch: handleServerStreamingCall<WatchRequest__Output, WatchResponse> = async (call) => {
    try {
      const refusal = await begin(context, call);
      if (refusal !== undefined) call.emit('error', toStatus(refused(context, 'watch', refusal)));
    } catch (cause) {
      context.onDefect(call.getPath(), cause);
      call.emit('error', toStatus(internal));
    }
  };
  return { Watch };
}
