/** A Hold stream at the replica: what src/edge/hold-calls.ts does, without messages and sockets. */
import type { Lease, LeaseName } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import type {
  AcquireAsk,
  Asker,
  Busy,
  Caller,
  Granted,
  Kept,
  KeptNews,
  Loss,
  Queued,
  StreamEnd,
} from '../../../src/locks/locks.ts';
import type { Door } from './door.ts';
import type { Served } from './talk.ts';

export type HoldAsk = AcquireAsk;

/** The events of a stream; `busy`, `lost` and `refusal` are its last. */
export type HoldTold =
  | { readonly kind: 'queued' }
  | { readonly kind: 'granted'; readonly lease: Lease }
  | { readonly kind: 'renewed'; readonly lease: Lease }
  | { readonly kind: 'yield' }
  | { readonly kind: 'draining' }
  | Busy
  | { readonly kind: 'lost'; readonly loss: Loss }
  | { readonly kind: 'refusal'; readonly refusal: Refusal };

export interface HoldingOptions {
  readonly door: Door;
  readonly served: Served;
  readonly graceMs: number;
  /** At the client. */
  told(told: HoldTold): void;
  onOver(): void;
}

export class Holding implements Caller, KeptNews {
  readonly principal = '';
  readonly #options: HoldingOptions;
  #asking = true;
  #resumes = false;
  #granted = false;
  #kept: Kept | undefined;
  #how: StreamEnd | undefined;
  #drained = false;
  #lostEarly: Loss | undefined;

  constructor(options: HoldingOptions) {
    this.#options = options;
    options.served.onEnded = (how) => this.#settle(this.#drained ? 'drained' : how);
  }

  async run(ask: HoldAsk | LeaseName): Promise<void> {
    const { door } = this.#options;
    this.#resumes = 'secret' in ask;
    const answer =
      'secret' in ask
        ? await door.owing('resume', 0, door.locks.resume(ask, this))
        : await door.owing(`hold ${ask.resources}`, ask.waitMs, door.locks.hold(ask, this, this));
    this.#asking = false;
    if (answer.kind === 'granted') this.#kept = answer.kept;
    if (this.#over) this.#settle('closed', answer.kind === 'granted' && this.#isNew(answer));
    else if (answer.kind === 'granted') this.#grant(answer.lease);
    else if (answer.kind === 'busy') this.#last(answer, 'closed');
    else this.#last({ kind: 'refusal', refusal: answer }, 'closed');
  }

  get #over(): boolean {
    return this.#options.served.over;
  }

  gone(): boolean {
    return this.#over;
  }

  whenGone(act: () => void): () => void {
    return this.#options.served.whenGone(act);
  }

  queued(_queued: Queued): void {
    if (this.#asking) this.#tell({ kind: 'queued' });
  }

  renewed(lease: Lease): void {
    if (this.#granted) this.#tell({ kind: 'renewed', lease });
  }

  yieldRequested(_asker: Asker): void {
    this.#tell({ kind: 'yield' });
  }

  lost(loss: Loss): void {
    if (this.#asking) {
      this.#lostEarly = loss;
      return;
    }
    this.#kept = undefined;
    if (!this.#over) this.#last({ kind: 'lost', loss }, 'closed');
  }

  drain(): void {
    if (this.#granted) {
      this.#drained = true;
      this.#tell({ kind: 'draining' });
    }
  }

  end(refusal: Refusal): void {
    if (!this.#over) this.#last({ kind: 'refusal', refusal }, 'drained');
  }

  #isNew({ lease }: Granted): boolean {
    return !this.#resumes && !lease.replayed;
  }

  #grant(lease: Lease): void {
    this.#granted = true;
    this.#tell({ kind: 'granted', lease });
    if (this.#lostEarly !== undefined) this.lost(this.#lostEarly);
  }

  #tell(told: HoldTold): void {
    if (this.#over) return;
    this.#options.served.talk.down(() => this.#options.told(told));
  }

  #last(told: HoldTold, how: StreamEnd): void {
    this.#options.served.answer(() => this.#options.told(told));
    this.#settle(this.#drained ? 'drained' : how);
  }

  /** What nobody heard of may not stay (G4). */
  #settle(how: StreamEnd, unheard = false): void {
    this.#how ??= how;
    const kept = this.#kept;
    this.#kept = undefined;
    if (!this.#asking) this.#options.onOver();
    kept?.end(unheard ? 'closed' : this.#how, this.#options.graceMs);
  }
}
