/** Watches a running command and its lease, and ends the command while the lease is still its own. */
import { type Clock, pause, type Timer } from '../../std/clock.ts';
import type { Group } from './group.ts';
import { codeOfSignal } from './group.ts';
import { type Charge, Guardian } from './guardian.ts';
import { judge, type Look, nextLookMs, type Terms } from './judge.ts';

/** What the client tells of a lease, as far as a running command needs it. */
export interface Held {
  readonly remainingMs: number;
  readonly lost: { readonly reason: string; readonly detail: string } | undefined;
  /** Aborted at the loss. */
  readonly signal: AbortSignal;
}

export interface Watched {
  readonly lease: Held;
  readonly group: Group;
  readonly guardian: Guardian;
  /** Should that guardian die, the next one gets the same. */
  readonly charge: Charge;
  readonly terms: Terms;
  readonly clock: Clock;
  /** A line for people. */
  readonly say: (text: string) => void;
}

export interface Outcome {
  readonly code: number;
  /** The command was ended because of its lease. */
  readonly lost: boolean;
}

const FIRST_POLL_MS = 2;
const POLL_MS_MAX = 100;
/** A guardian that stands still has nothing to guard any more. */
const GUARDIAN_PATIENCE_MS = 1000;

export class Supervisor {
  readonly #watched: Watched;
  #guardian: Guardian;
  #timer: Timer | undefined;
  /** When we told the command to end. */
  #toldAtMs: number | undefined;
  #wasKilled = false;
  #wasWarned = false;
  #isLost = false;
  #isOver = false;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#guardian = watched.guardian;
    this.#mind(watched.guardian);
  }

  /** Lets the command begin; resolves once nothing of its group runs any more. */
  async run(): Promise<Outcome> {
    const { group, lease, say } = this.#watched;
    lease.signal.addEventListener('abort', this.#look);
    this.#look();
    if (!this.#wasKilled) group.open();
    const code = await group.ended;
    const lost = this.#isLost;
    if (group.lives()) {
      say('the command has ended and left processes behind: ending them');
      this.#terminate();
      this.#look();
      await this.#gone();
    }
    const late = await this.#finish();
    return { code, lost: lost || (late && code === codeOfSignal('SIGKILL')) };
  }

  /** Ends everything before the command has begun. */
  async refuse(): Promise<undefined> {
    const { group } = this.#watched;
    group.signal('SIGKILL');
    await group.ended;
    await this.#finish();
    return undefined;
  }

  readonly #look = (): void => {
    if (this.#isOver) return;
    const { terms, clock } = this.#watched;
    this.#timer?.cancel();
    const look = this.#seen();
    const step = judge(look, terms);
    if (step !== 'go on') this.#act(step, look);
    this.#allow(look);
    this.#timer = clock.after(nextLookMs(look, terms), this.#look);
  };

  #seen(): Look {
    const { lease, clock } = this.#watched;
    const toldMs = this.#toldAtMs === undefined ? undefined : clock.monotonicMs() - this.#toldAtMs;
    return { remainingMs: lease.remainingMs, lost: lease.lost?.reason, toldMs };
  }

  #act(step: 'warn' | 'terminate' | 'kill', look: Look): void {
    const { group, say } = this.#watched;
    // Told because it left processes behind: no word about the lease, unless that ends, too.
    const ofLease = look.lost !== undefined || this.#toldAtMs === undefined;
    if (step === 'warn') {
      if (!this.#wasWarned) say(`${this.#why(look)}; the command goes on WITHOUT it`);
      this.#wasWarned = true;
      return;
    }
    if (ofLease) this.#isLost = true;
    if (step === 'terminate' && this.#toldAtMs === undefined) {
      say(`${this.#why(look)}: ending the command`);
      this.#terminate();
    }
    if (step === 'kill' && !this.#wasKilled) {
      if (ofLease) say(`${this.#why(look)}: killing the command`);
      this.#wasKilled = true;
      group.signal('SIGKILL');
    }
  }

  #why({ lost, remainingMs }: Look): string {
    if (lost === undefined) return `the lease could not be renewed and ends in ${Math.ceil(remainingMs)}ms`;
    const detail = this.#watched.lease.lost?.detail ?? '';
    // The service's sentence often says no more than the reason.
    return `the lease is lost (${lost})${detail === '' || detail.includes(lost) ? '' : `: ${detail}`}`;
  }

  #terminate(): void {
    const { clock, group } = this.#watched;
    this.#toldAtMs ??= clock.monotonicMs();
    group.signal('SIGTERM');
    // One that stands still would not hear it.
    group.signal('SIGCONT');
  }

  /** Tells the guardian how long the command may live, should this process stand still from now on. */
  #allow({ remainingMs, lost }: Look): void {
    const { onLoss, marginMs } = this.#watched.terms;
    if (onLoss !== 'warn' && lost === undefined) this.#guardian.allow(remainingMs - marginMs / 2);
  }

  #mind(guardian: Guardian): void {
    const { charge, say } = this.#watched;
    void guardian.ended.then(async (how) => {
      if (how === 'deadline') this.#isLost = true;
      if (how !== 'gone' || this.#isOver) return;
      try {
        this.#guardian = await Guardian.armed(charge);
        this.#mind(this.#guardian);
        this.#look();
      } catch (error) {
        say(`the guardian is gone and there is no other: ${String(error)}`);
      }
    });
  }

  async #gone(): Promise<void> {
    const { clock, group } = this.#watched;
    for (let waitMs = FIRST_POLL_MS; group.lives(); waitMs = Math.min(waitMs * 2, POLL_MS_MAX))
      await pause(clock, waitMs);
  }

  /** Nothing of the group is left; whether it was the guardian who killed it. */
  async #finish(): Promise<boolean> {
    const { lease, clock } = this.#watched;
    this.#isOver = true;
    this.#timer?.cancel();
    lease.signal.removeEventListener('abort', this.#look);
    const guardian = this.#guardian;
    guardian.dismiss();
    const patience = clock.after(GUARDIAN_PATIENCE_MS, () => guardian.kill());
    const how = await guardian.ended;
    patience.cancel();
    return how === 'deadline';
  }
}
