/** The Hold stream: one lease that lives as long as the stream, and all that its holder is told of it. */
import type { handleServerStreamingCall, ServerWritableStream } from '@grpc/grpc-js';
import type { Lease } from '../domain/lease.ts';
import type { Refusal } from '../domain/refusals.ts';
import type {
  Asker,
  Busy,
  Caller,
  Granted,
  Kept,
  KeptNews,
  Loss,
  Queued,
  StreamEnd,
} from '../locks/locks.ts';
import type { Visit } from './access/visit.ts';
import { malformed } from './calls.ts';
import { decodeHold, type HoldAsk } from './decode.ts';
import { duration, encodeBusy, encodeLease, encodeLost, encodeQueued, encodeYield } from './encode.ts';
import { within } from './fields.ts';
import type { HoldRequest__Output } from './gen/holdfast/v1/HoldRequest.ts';
import type { HoldResponse } from './gen/holdfast/v1/HoldResponse.ts';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import { Lifeline, type Living } from './lifeline.ts';
import { refused } from './lock-calls.ts';
import { MALFORMED } from './protos.ts';
import { draining, internal, isRefusal, toStatus } from './status.ts';
import type { Standing, StreamContext } from './streams.ts';

export type HoldCall = ServerWritableStream<HoldRequest__Output, HoldResponse>;

/** In the order in which they are told when several wait for the reader: of each kind the newest. */
const KINDS = ['queued', 'granted', 'renewed', 'yield_request', 'draining'] as const;

const NOTHING_ASKED = {
  acquire: null,
  resume_lease_id: '',
  grace: null,
} satisfies Partial<HoldRequest__Output>;

/** One for each stream, of which there may be many thousands: what all have in common is no field. */
class Holding implements Caller, KeptNews, Standing, Living {
  readonly #context: StreamContext;
  readonly #call: HoldCall;
  readonly #visit: Visit;
  readonly #graceMs: number;
  readonly #resumes: boolean;
  readonly #lifeline: Lifeline;
  /** What waits until the reader has taken the news before it. */
  #news: HoldResponse | undefined;
  #asking = true;
  #granted = false;
  #kept: Kept | undefined;
  /** How the stream ended. */
  #how: StreamEnd | undefined;
  /** A message was written and has not left. */
  #underWay = false;
  /** Something has left since the last renewal: the reader takes what is written. */
  #taken = false;
  #drainEndMs: number | undefined;
  #lostEarly: Loss | undefined;

  constructor(context: StreamContext, call: HoldCall, visit: Visit, ask: HoldAsk) {
    this.#context = context;
    this.#call = call;
    this.#visit = visit;
    this.#graceMs = ask.graceMs;
    this.#resumes = ask.acquire === undefined;
    this.#lifeline = new Lifeline(call, context, this);
    context.streams.add(this);
  }

  get kind(): 'hold' {
    return 'hold';
  }

  get principal(): string {
    return this.#visit.principal;
  }

  get seal(): string {
    return this.#visit.seal;
  }

  async run({ acquire, resume }: HoldAsk): Promise<void> {
    const { locks } = this.#visit;
    try {
      const answer =
        acquire === undefined
          ? await locks.resume(resume!, this)
          : await locks.hold(this.#lifeline.deadline.cut(acquire), this, this);
      this.#asking = false;
      this.#take(answer);
    } catch (cause) {
      this.#asking = false;
      this.#break(cause);
    }
  }

  gone(): boolean {
    return this.#lifeline.gone();
  }

  whenGone(act: () => void): () => void {
    return this.#lifeline.whenGone(act);
  }

  onEnded(how: StreamEnd): void {
    this.#settle(how);
  }

  onDeleted(): void {
    this.#visit.leaveStream();
  }

  queued(queued: Queued): void {
    if (this.#asking) this.#put('queued', () => encodeQueued(queued));
  }

  renewed(lease: Lease): void {
    if (!this.#granted || this.#lifeline.over) return;
    if (!this.#taken) {
      this.#stall();
      return;
    }
    this.#taken = false;
    this.#put('renewed', () => encodeLease(lease));
  }

  yieldRequested(asker: Asker): void {
    this.#put('yield_request', () => encodeYield(asker));
  }

  lost(loss: Loss): void {
    if (this.#asking) {
      this.#lostEarly = loss;
      return;
    }
    this.#kept = undefined;
    if (this.#lifeline.over) return;
    // It has gone where it was told to go.
    if (this.#drainEndMs !== undefined && loss.takenOver === true) this.#refuse(draining);
    else this.#guarded(() => this.#last({ lost: encodeLost(loss) }));
  }

  drain(remainingMs: number): void {
    this.#drainEndMs = this.#context.clock.monotonicMs() + remainingMs;
    // Who still waits is answered by the locks.
    if (this.#granted) this.#drain();
  }

  end(refusal: Refusal): void {
    if (!this.#lifeline.over) this.#refuse(refusal, 'drained');
  }

  #take(answer: Granted | Busy | Refusal): void {
    if (answer.kind === 'granted') this.#kept = answer.kept;
    if (this.#lifeline.over) this.#settle('closed', answer.kind === 'granted' && this.#isNew(answer));
    else if (answer.kind === 'granted') this.#grant(answer);
    else if (answer.kind === 'busy') this.#last({ busy: encodeBusy(answer) });
    else this.#refuse(this.#resumes ? answer : within('acquire', answer));
  }

  /** Taken for this stream: nobody else knows of it. */
  #isNew({ lease }: Granted): boolean {
    return !this.#resumes && !lease.replayed;
  }

  #grant({ lease }: Granted): void {
    this.#granted = true;
    if (this.#news !== undefined) this.#news.queued = null;
    this.#taken = false;
    this.#put('granted', () => encodeLease(lease));
    if (this.#drainEndMs !== undefined) this.#drain();
    if (this.#lostEarly !== undefined) this.lost(this.#lostEarly);
  }

  #drain(): void {
    const leftMs = Math.max(0, this.#drainEndMs! - this.#context.clock.monotonicMs());
    this.#lifeline.drained();
    this.#put('draining', () => ({ remaining: duration(leftMs) }));
  }

  #put<Kind extends (typeof KINDS)[number]>(kind: Kind, message: () => HoldResponse[Kind]): void {
    if (this.#lifeline.over) return;
    this.#guarded(() => {
      this.#news ??= {};
      this.#news[kind] = message();
      this.#tell();
    });
  }

  /** One message at a time: what happens while the reader is slow replaces what it has not seen. */
  #tell(): void {
    if (this.#news === undefined || this.#lifeline.over || this.#underWay) return;
    for (const kind of KINDS) {
      const message = this.#news[kind];
      if (!message || (kind !== 'queued' && !this.#granted)) continue;
      this.#news[kind] = null;
      this.#write({ [kind]: message });
      return;
    }
    // Of thousands of idle streams none shall keep an empty list.
    if (this.#granted) this.#news = undefined;
  }

  #write(message: HoldResponse): void {
    this.#underWay = true;
    this.#call.write(message, (error?: Error | null) => {
      // With an error the stream is over, which others tell.
      if (error) return;
      this.#underWay = false;
      this.#taken = true;
      this.#tell();
    });
  }

  /** Tells how it ends, and ends well. */
  #last(message: HoldResponse): void {
    const granted = this.#news?.granted;
    const how = this.#lifeline.finish('closed');
    if (granted) this.#write({ granted });
    this.#write(message);
    this.#call.end();
    this.#settle(how);
  }

  /** `emit` because destroying a call would send no status. */
  #refuse(refusal: Refusal, how: StreamEnd = 'closed'): void {
    const decided = this.#lifeline.finish(how);
    this.#call.emit('error', toStatus(refusal));
    this.#settle(decided);
  }

  /** For a whole interval nothing has left. */
  #stall(): void {
    this.#settle(this.#lifeline.giveUp());
  }

  #break(cause: unknown): void {
    this.#context.onDefect(this.#call.getPath(), cause);
    if (this.#lifeline.over) this.#settle('closed');
    else this.#refuse(internal);
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#break(cause);
    }
  }

  /** The stream is over; so is this, as soon as the locks have answered. What nobody heard of may not stay (G4). */
  #settle(how: StreamEnd, unheard = false): void {
    this.#how ??= how;
    this.#news = undefined;
    const kept = this.#kept;
    this.#kept = undefined;
    if (!this.#asking) this.#context.streams.delete(this);
    try {
      kept?.end(unheard ? 'closed' : this.#how, this.#graceMs);
    } catch (cause) {
      this.#context.onDefect(this.#call.getPath(), cause);
    }
  }
}

function begin(context: StreamContext, call: HoldCall, name: string): Refusal | undefined {
  if (context.draining()) return draining;
  const visit = context.visits.of(call);
  const over = visit.pace(call);
  if (over !== undefined) return over;
  const ask = call.request === MALFORMED ? malformed : decodeHold(call.request, visit.settings);
  if (isRefusal(ask)) {
    visit.turnedAway(name, ask);
    return ask;
  }
  const full = visit.enterStream('hold');
  if (full !== undefined) return full;
  // grpc-js keeps the request for as long as the stream lives.
  Object.assign(call.request, NOTHING_ASKED);
  void new Holding(context, call, visit, ask).run(ask);
  return undefined;
}

export function holdHandler(context: StreamContext): Pick<LockServiceHandlers, 'Hold'> {
  const Hold: handleServerStreamingCall<HoldRequest__Output, HoldResponse> = (call) => {
    try {
      const name = call.request.acquire === null ? 'resume' : 'acquire';
      const refusal = begin(context, call, name);
      if (refusal === undefined) return;
      call.emit('error', toStatus(refused(context, name, refusal)));
    } catch (cause) {
      context.onDefect(call.getPath(), cause);
      call.emit('error', toStatus(internal));
    }
  };
  return { Hold };
}
