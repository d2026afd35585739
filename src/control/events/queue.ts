/** Events in the order in which they happened, bounded: routine gives way before what is urgent, the oldest first. */
import { Ring } from '../../std/ring.ts';
import type { Priority } from './event.ts';

interface Queued {
  readonly seq: number;
  readonly priority: Priority;
}

export class EventQueue<T extends Queued> {
  readonly #capacity: number;
  readonly #rings: Readonly<Record<Priority, Ring<T>>>;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#rings = { now: new Ring(capacity), routine: new Ring(capacity) };
  }

  get size(): number {
    return this.#rings.now.size + this.#rings.routine.size;
  }

  /** What had to give way: the event itself where all that waits is more urgent; undefined while there is room. */
  push(event: T): T | undefined {
    const ring = this.#rings[event.priority];
    if (this.size < this.#capacity) return ring.push(event);
    const gone = this.#rings.routine.shift();
    if (gone === undefined && event.priority === 'routine') return event;
    return ring.push(event) ?? gone;
  }

  /** The oldest, at most so many, in their order; they leave the queue. */
  take(most: number): T[] {
    const { now, routine } = this.#rings;
    if (now.size === 0) return routine.take(most);
    const taken: T[] = [];
    while (taken.length < most && this.size > 0) {
      const urgentSeq = now.first?.seq ?? Number.POSITIVE_INFINITY;
      const usualSeq = routine.first?.seq ?? Number.POSITIVE_INFINITY;
      taken.push((urgentSeq < usualSeq ? now : routine).shift()!);
    }
    return taken;
  }
}
