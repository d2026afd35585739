/** The waiters of this replica by resource, each row in the order in which it is served. */
import type { Place } from '../nodes/node.ts';
import type { Waiter } from './waiter.ts';

/** Whether `a` is served before `b`, as every node decides it: ids are ASCII, so their order is that of their bytes. */
export function goesBefore(a: Pick<Place, 'order' | 'id'>, b: Pick<Place, 'order' | 'id'>): boolean {
  return a.order < b.order || (a.order === b.order && a.id < b.id);
}

export class Places {
  readonly #rows = new Map<string, Waiter[]>();
  readonly #byId = new Map<string, Waiter>();

  get count(): number {
    return this.#byId.size;
  }

  all(): Iterable<Waiter> {
    return this.#byId.values();
  }

  byId(id: string): Waiter | undefined {
    return this.#byId.get(id);
  }

  row(resource: string): readonly Waiter[] {
    return this.#rows.get(resource) ?? [];
  }

  /** Resources whose row was empty before are answered: somebody has to look after them from now on. */
  add(waiter: Waiter): string[] {
    this.#byId.set(waiter.place.id, waiter);
    const fresh: string[] = [];
    for (const resource of waiter.place.resources) {
      const row = this.#rows.get(resource);
      if (row === undefined) {
        this.#rows.set(resource, [waiter]);
        fresh.push(resource);
      } else {
        row.splice(placeIn(row, waiter), 0, waiter);
      }
    }
    return fresh;
  }

  /** Another call of the same request may wait under its id: only this very one goes. Answers the rows that are empty now. */
  remove(waiter: Waiter): string[] {
    if (this.#byId.get(waiter.place.id) === waiter) {
      const twin = waiter.repeatable ? this.#twinOf(waiter) : undefined;
      if (twin === undefined) this.#byId.delete(waiter.place.id);
      else this.#byId.set(waiter.place.id, twin);
    }
    return waiter.place.resources.filter((resource) => {
      const row = this.#rows.get(resource);
      const at = row?.indexOf(waiter) ?? -1;
      if (at >= 0) row!.splice(at, 1);
      if (row?.length !== 0) return false;
      this.#rows.delete(resource);
      return true;
    });
  }

  #twinOf(waiter: Waiter): Waiter | undefined {
    const { id, resources } = waiter.place;
    return this.row(resources[0]!).find((other) => other !== waiter && other.place.id === id);
  }

  /** Its place has moved: an earlier one was kept. */
  moved(waiter: Waiter): void {
    for (const resource of waiter.place.resources) {
      const row = this.#rows.get(resource);
      const at = row?.indexOf(waiter) ?? -1;
      if (row === undefined || at < 0) continue;
      row.splice(at, 1);
      row.splice(placeIn(row, waiter), 0, waiter);
    }
  }

  /** Who may go together when a resource is free: the first, and, if it is shared, the shared ones right behind it. */
  leading(resource: string, most: number): readonly Waiter[] {
    const row = this.row(resource);
    if (row[0]?.place.mode !== 'shared') return row.slice(0, 1);
    const writer = row.findIndex(({ place }) => place.mode !== 'shared');
    return row.slice(0, Math.min(most, writer < 0 ? row.length : writer));
  }
}

function placeIn(row: readonly Waiter[], { place }: Waiter): number {
  let low = 0;
  let high = row.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (goesBefore(row[middle]!.place, place)) low = middle + 1;
    else high = middle;
  }
  return low;
}
