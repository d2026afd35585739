/** Streams that may stand for hours: ended by a drain, and looked at again when callers are no longer who they were. */
import type { Refusal } from '../domain/refusals.ts';
import type { Authenticator } from './access/authenticator.ts';

export interface IdleCall {
  /** Set by whoever keeps it. */
  onGone: (() => void) | undefined;
  identifyAgain(authenticator: Authenticator): void;
  finish(refusal: Refusal): void;
  reset(): void;
}

/** Streams that never end by themselves: health watches, reflection, and our own. */
export class IdleStreams {
  readonly #open = new Set<IdleCall>();

  add(call: IdleCall): void {
    this.#open.add(call);
    call.onGone = () => this.#open.delete(call);
  }

  identifyAgain(authenticator: Authenticator): void {
    for (const call of [...this.#open]) call.identifyAgain(authenticator);
  }

  /** They would hold a drain up to its limit. */
  end(refusal: Refusal): void {
    for (const call of [...this.#open]) call.finish(refusal);
  }

  /** Those that could not end, because nobody reads what was sent before. */
  reset(): void {
    for (const call of [...this.#open]) call.reset();
  }
}
