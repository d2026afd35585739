/** The janitor of one replica as the control room keeps it: its figures from the start, its work once locks can be asked. */
import type { Settings } from '../../config.ts';
import type { JanitorReport } from '../../domain/operations.ts';
import type { Probe } from '../../domain/probe.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { LockEvent, Locks } from '../../locks/locks.ts';
import type { Mend } from '../../locks/mend.ts';
import type { Clock } from '../../std/clock.ts';
import type { Observer } from '../alerts/observation.ts';
import { classNames, makeClassOf } from '../classes.ts';
import type { Family } from '../families.ts';
import { JanitorGauges } from './gauges.ts';
import { Janitor } from './janitor.ts';

export interface JanitorServiceOptions {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly notice: Probe['notice'];
  /** Who is told of what lasts too long. */
  readonly observer?: Observer;
  /** Takes what nodes remember and it does not have. */
  readonly backfill?: (events: readonly LockEvent[]) => unknown;
}

export class JanitorService {
  readonly families: readonly Family[];
  readonly #options: JanitorServiceOptions;
  readonly #gauges: JanitorGauges;
  #janitor: Janitor | undefined;

  constructor(options: JanitorServiceOptions) {
    this.#options = options;
    this.#gauges = new JanitorGauges(classNames(options.settings.classes ?? []));
    this.families = this.#gauges.families;
  }

  /** `replica`: as the nodes know this one. */
  begin(locks: Locks, mend: Mend, replica: string): void {
    const { settings, ...doors } = this.#options;
    this.#janitor = new Janitor({
      ...doors,
      locks,
      mend,
      replica,
      alone: settings.redisNodes.length === 0,
      on: settings.janitor,
      everyMs: settings.janitorEveryMs,
      maxTtlMs: settings.maxTtlMs,
      classOf: makeClassOf(settings.classes ?? []),
      gauges: this.#gauges,
    });
    this.#janitor.start();
  }

  async run(dryRun: boolean): Promise<JanitorReport | Refusal> {
    return this.#janitor?.run(dryRun) ?? refuse('DRAINING', 'the janitor has not begun yet');
  }

  /** Another replica may take over at once. */
  async stop(): Promise<void> {
    await this.#janitor?.stop();
  }
}
