/** A Hold at the fake: one lease that lives as long as its stream. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { duration } from '../durations.ts';
import type { HoldRequestRead, HoldResponse } from '../gen/messages.ts';
import { isRefusal } from './calls.ts';
import { Claim } from './claim.ts';
import { decodeHold, type HoldAsk } from './decode.ts';
import type { Desk, Standing } from './desk.ts';
import { encodeBusy, encodeLease, encodeLost, encodeQueued, encodeYield, statusOf } from './encode.ts';
import { draining, type Refusal, within } from './refusals.ts';

type Call = ServerWritableStream<HoldRequestRead, HoldResponse>;

export class Hold implements Standing {
  readonly client = 0;
  readonly busy = true;
  readonly #desk: Desk;
  readonly #call: Call;
  readonly #claim: Claim;
  #graceMs = 0;
  #drained = false;
  #over = false;

  constructor(desk: Desk, call: Call) {
    this.#desk = desk;
    this.#call = call;
    this.#claim = new Claim('', {
      renewed: (lease) => this.#write({ renewed: encodeLease(lease) }),
      lost: (loss) => {
        this.#claim.leaseId = '';
        this.#write({ lost: encodeLost(loss) });
        this.#finish();
      },
      yieldRequested: (asker) => this.#write({ yield_request: encodeYield(asker) }),
    });
    call.on('cancelled', () => this.#end());
    call.on('close', () => this.#end());
    call.on('error', () => this.#end());
    const decoded = decodeHold(call.request, desk.range);
    const acquire = decoded.ok ? decoded.value.acquire : undefined;
    desk.log(
      acquire === undefined ? 'resume' : 'acquire',
      acquire ?? desk.locks.known(call.request.resume_lease_id),
    );
    const refusal = desk.refusal(acquire === undefined ? 'resume' : 'acquire');
    desk.streams.add(this);
    if (refusal !== undefined || !decoded.ok)
      this.#fail(refusal ?? (decoded as { refusal: Refusal }).refusal);
    else this.#begin(decoded.value);
  }

  drain(remainingMs: number): void {
    this.#drained = true;
    this.#write({ draining: { remaining: duration(remainingMs) } });
  }

  endDrained(): void {
    if (this.#drained) this.#fail(draining);
  }

  #begin({ acquire, resume, graceMs }: HoldAsk): void {
    const { locks } = this.#desk;
    this.#graceMs = graceMs;
    if (acquire === undefined) {
      this.#claim.leaseId = resume;
      const lease = locks.resume(resume, this.#claim);
      if (isRefusal(lease)) this.#fail(lease);
      else this.#write({ granted: encodeLease(lease) });
      return;
    }
    this.#claim.asked = locks.acquire(acquire, {
      granted: (lease, replayed) => {
        this.#claim.leaseId = lease.leaseId;
        locks.keep(lease.leaseId, this.#claim);
        this.#write({ granted: encodeLease(lease, replayed) });
      },
      busy: (busy) => {
        this.#write({ busy: encodeBusy(busy) });
        this.#finish();
      },
      refused: (refusal) => this.#fail(within('acquire', refusal)),
      queued: (queued) => this.#write({ queued: encodeQueued(queued) }),
    });
  }

  #write(response: HoldResponse): void {
    this.#desk.pass(() => {
      if (!this.#over) this.#call.write(response);
    });
  }

  #finish(): void {
    this.#desk.pass(() => {
      if (this.#over) return;
      this.#end();
      this.#call.end();
    });
  }

  #fail(refusal: Refusal): void {
    this.#desk.pass(() => {
      if (this.#over) return;
      this.#end();
      this.#call.emit('error', statusOf(refusal));
    });
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#desk.leave(this);
    this.#claim.end(this.#desk.locks, this.#drained ? 'stands' : this.#graceMs);
  }
}
