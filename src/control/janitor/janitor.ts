/** The janitor: looks at all locks every so often, at one replica at a time, mends what faults have left and tells what it saw. */
import type { JanitorReport } from '../../domain/operations.ts';
import type { Probe } from '../../domain/probe.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { LockEvent, Locks } from '../../locks/locks.ts';
import type { Mend } from '../../locks/mend.ts';
import type { Clock, Timer } from '../../std/clock.ts';
import { defaultThresholds, type Observer } from '../alerts/observation.ts';
import type { JanitorGauges } from './gauges.ts';
import { LockedPost, onlyPost, type Post } from './post.ts';
import { type Round, type RoundOptions, runRound } from './round.ts';
import { type Memory, Tally } from './tally.ts';

/** How soon another replica takes over from one that was killed, beside the time between two looks. */
const POST_TTL_MS = { min: 2000, max: 10_000 };
/** For how long one that was asked by hand waits for the post: the other gives it up when it hears of that. */
const WAIT_MS = 30_000;
const AGAIN_MS = 10_000;
/** Lines of log for one run. */
const TOLD_MAX = 20;

export interface JanitorOptions {
  readonly locks: Pick<Locks, 'hold'>;
  readonly mend: Mend;
  /** No other replica can reach the nodes. */
  readonly alone: boolean;
  /** Names this replica to whoever looks at the post. */
  readonly replica: string;
  /** Off: it works only when it is asked to. */
  readonly on: boolean;
  readonly everyMs: number;
  readonly maxTtlMs: number;
  readonly gauges: JanitorGauges;
  readonly classOf: (resource: string) => string;
  readonly clock: Clock;
  readonly notice: Probe['notice'];
  readonly observer?: Observer | undefined;
  readonly backfill?: ((events: readonly LockEvent[]) => unknown) | undefined;
}

export class Janitor {
  readonly #options: JanitorOptions;
  readonly #post: Post;
  /** Of the last pass over all names, and of the one that is under way. */
  #known: ReadonlyMap<string, string> = new Map();
  #seen = new Map<string, string>();
  #memory: Memory = new Map();
  /** The pass over all names that is under way, over several runs if there are very many. */
  #tally: Tally | undefined;
  #after = '';
  #working: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #stopped = false;
  #observes = false;

  constructor(options: JanitorOptions) {
    this.#options = options;
    const { locks, alone, everyMs, maxTtlMs, replica } = options;
    const { min, max } = POST_TTL_MS;
    this.#post = alone
      ? onlyPost
      : new LockedPost({
          locks,
          owner: `~/${replica}`,
          ttlMs: Math.min(maxTtlMs, Math.max(min, Math.min(max, 2 * everyMs))),
          onLost: () => this.#elsewhere(),
        });
  }

  start(): void {
    if (this.#options.on) this.#later();
  }

  /** Gives the post back; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    if (this.#post instanceof LockedPost) this.#post.close();
    await this.#working.catch(() => {});
    this.#elsewhere();
  }

  /** By hand. A dry run only reads, so it needs no post. */
  run(dryRun: boolean): Promise<JanitorReport | Refusal> {
    return this.#inTurn(() => (dryRun ? this.#dryRun() : this.#runByHand()));
  }

  async #dryRun(): Promise<JanitorReport | Refusal> {
    const tally = this.#newTally();
    const goOn = (): boolean => !this.#stopped;
    const round = await this.#round({ dryRun: true, after: '', known: new Map(), tally, goOn });
    return round.kind === 'refusal' ? round : reportOf(round);
  }

  async #runByHand(): Promise<JanitorReport | Refusal> {
    const byItself = this.#options.on;
    if (!(await this.#post.take(WAIT_MS))) {
      const detail = 'another replica is at it, and has not given way';
      return refuse('QUOTA', `the janitor works at one replica at a time: ${detail}`, {
        metadata: { quota: 'janitor' },
        retryAfterMs: AGAIN_MS,
      });
    }
    this.#begun();
    // All names, also those where nothing has changed since the last time.
    this.#known = new Map();
    this.#restart();
    const round = await this.#pass();
    if (!byItself && this.#post !== onlyPost) this.#resign();
    return round.kind === 'refusal' ? round : reportOf(round);
  }

  #later(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(this.#options.everyMs, () => {
      void this.#inTurn(() => this.#tick())
        .catch((cause: unknown) => this.#defect(cause))
        .finally(() => this.#later());
    });
  }

  async #tick(): Promise<void> {
    if (this.#stopped) return;
    if (!this.#post.ours && !(await this.#post.take(0))) return;
    this.#begun();
    const round = await this.#pass();
    if (round.kind === 'refusal' && round.reason !== 'DRAINING')
      this.#options.notice('warn', `the janitor could not look at all locks: ${round.message}`);
    if (this.#post.wanted) this.#resign();
  }

  /** One run by itself and one by hand never mix. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#working.catch(() => {}).then(act);
    this.#working = next.catch(() => {});
    return next;
  }

  async #pass(): Promise<Round | Refusal> {
    this.#tally ??= this.#newTally();
    const tally = this.#tally;
    const goOn = (): boolean => !this.#stopped && this.#post.ours && !this.#post.wanted;
    const round = await this.#round({ dryRun: false, after: this.#after, known: this.#known, tally, goOn });
    if (round.kind === 'refusal') {
      this.#restart();
      return round;
    }
    this.#tell(round);
    for (const [resource, mark] of round.known) this.#seen.set(resource, mark);
    this.#after = round.next;
    if (round.next === '') this.#publish(tally);
    return round;
  }

  #publish(tally: Tally): void {
    const { gauges, clock, observer } = this.#options;
    this.#memory = tally.memory;
    this.#known = this.#seen;
    this.#restart();
    // Lost meanwhile: another one tells.
    if (!this.#post.ours || !this.#options.on) return;
    gauges.show(tally.figures, clock.wallMicros() / 1000);
    this.#observes = true;
    observer?.observed(tally.observations);
  }

  async #round(
    more: Pick<RoundOptions, 'dryRun' | 'after' | 'known' | 'tally' | 'goOn'>,
  ): Promise<Round | Refusal> {
    const { mend, clock, backfill } = this.#options;
    const round = await runRound({ ...more, mend, clock, backfill });
    return round ?? refuse('DRAINING', 'the janitor had to stop in the middle');
  }

  #newTally(): Tally {
    const { classOf, clock, observer } = this.#options;
    const thresholds = observer?.thresholds ?? defaultThresholds;
    return new Tally({ classOf, thresholds, nowMs: clock.wallMicros() / 1000, before: this.#memory });
  }

  #tell({ findings, found }: Round): void {
    const { gauges, notice } = this.#options;
    for (const finding of findings) gauges.found(finding);
    for (const { kind, node, resource, detail, mended } of findings.slice(0, TOLD_MAX)) {
      const message = mended ? 'the janitor mended' : 'the janitor found what it could not mend';
      notice(mended ? 'info' : 'warn', message, { kind, node, resource, detail });
    }
    if (found > TOLD_MAX) notice('info', 'the janitor found more', { more: found - TOLD_MAX });
  }

  #begun(): void {
    if (this.#options.on) this.#options.gauges.active = true;
  }

  #resign(): void {
    this.#post.leave();
    this.#elsewhere();
  }

  /** What was seen here says nothing any more: neither that it goes on nor that it is over. */
  #elsewhere(): void {
    this.#options.gauges.clear();
    this.#restart();
    if (!this.#observes) return;
    this.#observes = false;
    this.#options.observer?.scannedElsewhere();
  }

  #restart(): void {
    this.#tally = undefined;
    this.#seen = new Map();
    this.#after = '';
  }

  #defect(cause: unknown): void {
    const text = cause instanceof Error ? cause.stack : String(cause);
    this.#options.notice('error', 'the janitor met a defect', { cause: text });
  }
}

function reportOf({ findings, found, lookedAt }: Round): JanitorReport {
  return { kind: 'report', findings, found, lookedAt };
}
