/** A waiter that wants to hear where it stands: told when its place or the holders change, once for each change. */
import type { HolderView, Queued } from './locks.ts';

/** What is known of one of its resources. */
export type Sighting = Queued;

export class Audience {
  readonly #resources: readonly string[];
  readonly #tell: (queued: Queued) => void;
  readonly #seen = new Map<string, Sighting>();
  #told: string | undefined;

  constructor(resources: readonly string[], tell: (queued: Queued) => void) {
    this.#resources = resources;
    this.#tell = tell;
  }

  get told(): boolean {
    return this.#told !== undefined;
  }

  /** What the nodes said as it took its place, until a look knows more. */
  begin(queued: Queued): void {
    if (!this.told) this.#say(queued);
  }

  /** A look has shown one of its resources; nothing is said before all of them were seen. */
  see(resource: string, sighting: Sighting): void {
    this.#seen.set(resource, sighting);
    if (this.#seen.size < this.#resources.length) return;
    let position = 0;
    let queueLength = 0;
    const holders: HolderView[] = [];
    for (const one of this.#seen.values()) {
      if (one.position >= position) ({ position, queueLength } = one);
      holders.push(...one.holders);
    }
    this.#say({ position, queueLength, holders });
  }

  /** Those who come later and stand behind it are no change. */
  #say(queued: Queued): void {
    const now = [queued.position, ...queued.holders.map(({ leaseRef }) => leaseRef)].join(' ');
    if (queued.position === 0 || now === this.#told) return;
    this.#told = now;
    this.#tell(queued);
  }
}
