/** Mends what faults have left, as the janitor of a replica does, only at random moments and with no regard for other replicas. */
import { type Mend, makeMend } from '../../../src/locks/mend.ts';
import type { Quorum } from '../../../src/quorum/quorum.ts';
import type { Plan } from '../plan.ts';
import type { Chance } from './chance.ts';
import type { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

/** What one replica says that it has ended at one node. */
export interface Mended {
  readonly finding: string;
  readonly resource: string;
  /** Of a value that was left behind; '' where it was something else. */
  readonly leaseRef: string;
  readonly replica: number;
  readonly atMs: number;
}

/** Looks as deeply as that where nothing seems to be left, too. */
const DEEP_SHARE = 0.3;
/** Acts on what it has seen some time ago, as a janitor that stood still. */
const LATE_SHARE = 0.2;
const LATE_MS = [1, 500] as const;

export interface MenderOptions {
  readonly quorum: Quorum;
  readonly process: Process;
  readonly chance: Chance;
  readonly timeline: Timeline;
  readonly mends: NonNullable<Plan['mends']>;
  readonly replica: number;
  readonly mended: Mended[];
}

export class Mender {
  readonly #options: MenderOptions;
  readonly #mend: Mend;

  constructor(options: MenderOptions) {
    this.#options = options;
    this.#mend = makeMend({ quorum: options.quorum, minAgeMs: options.mends.minAgeMs });
  }

  /** Until its process dies, wherever it is then. */
  start(): void {
    const { process, chance, mends, timeline } = this.#options;
    process.after(chance.between(mends.everyMs), () => {
      this.#pass().then(
        () => this.start(),
        (cause: unknown) => timeline.fail(cause),
      );
    });
  }

  async #pass(): Promise<void> {
    let after = '';
    do {
      const page = await this.#mend.page(after);
      if (page.kind === 'refusal') return;
      await Promise.all(page.glances.map(({ resource, split }) => this.#see(resource, split)));
      after = page.next;
    } while (after !== '');
  }

  async #see(resource: string, split: boolean): Promise<void> {
    const { process, chance, timeline, replica, mended } = this.#options;
    const sight = await this.#mend.look(resource, split || chance.happens(DEEP_SHARE));
    if (sight.kind === 'refusal' || sight.remains.length === 0) return;
    if (chance.happens(LATE_SHARE)) {
      await new Promise<void>((resolve) => process.after(chance.between(LATE_MS), resolve));
    }
    const findings = await this.#mend.mend(sight);
    for (const [index, finding] of findings.entries()) {
      const leaseRef = sight.remains[index]?.leftover?.holder.leaseRef ?? '';
      if (finding.mended)
        mended.push({ finding: finding.kind, resource, leaseRef, replica, atMs: timeline.nowMs });
    }
  }
}
