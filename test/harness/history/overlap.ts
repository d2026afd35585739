/** G1 in a history: two conflicting leases are never relied on at one moment. */
import { force, type Touched } from './force.ts';
import type { Held, History, Ms, Violation } from './history.ts';

/** What of a lease can be judged on one resource: a force ends it, for from then on only its token protects. */
interface Span {
  readonly held: Held;
  readonly untilMs: Ms;
}

export function overlaps(history: History): Violation[] {
  const forced = force(history);
  return [...spansOf(history, forced)].flatMap(([resource, spans]) => sweep(resource, spans));
}

function spansOf(history: History, forced: Touched): Map<string, Span[]> {
  const byResource = new Map<string, Span[]>();
  for (const held of history) {
    if (held.kind !== 'held') continue;
    for (const resource of held.resources) {
      const untilMs = Math.min(held.untilMs, forced.fromMs(held.leaseRef, held.resources));
      if (untilMs <= held.fromMs) continue;
      const spans = byResource.get(resource);
      if (spans === undefined) byResource.set(resource, [{ held, untilMs }]);
      else spans.push({ held, untilMs });
    }
  }
  return byResource;
}

/** By the beginning: whatever began before and is not yet over conflicts. One violation for each that came too early. */
function sweep(resource: string, spans: Span[]): Violation[] {
  spans.sort((one, other) => one.held.fromMs - other.held.fromMs || one.untilMs - other.untilMs);
  const anybody = new Latest();
  const writers = new Latest();
  const found: Violation[] = [];
  for (const span of spans) {
    const { held } = span;
    const before = (held.mode === 'exclusive' ? anybody : writers).besides(held.leaseRef);
    if (before !== undefined && before.untilMs > held.fromMs) found.push(overlap(resource, before, span));
    anybody.add(span);
    if (held.mode === 'exclusive') writers.add(span);
  }
  return found;
}

/** The span that ends last, and the one of another lease that does: the same lease is no conflict with itself. */
class Latest {
  #last: Span | undefined;
  #other: Span | undefined;

  add(span: Span): void {
    if (this.#last === undefined || this.#last.held.leaseRef === span.held.leaseRef) {
      if (this.#last === undefined || span.untilMs > this.#last.untilMs) this.#last = span;
    } else if (span.untilMs > this.#last.untilMs) {
      this.#other = this.#last;
      this.#last = span;
    } else if (this.#other === undefined || span.untilMs > this.#other.untilMs) {
      this.#other = span;
    }
  }

  besides(leaseRef: string): Span | undefined {
    return this.#last?.held.leaseRef === leaseRef ? this.#other : this.#last;
  }
}

function overlap(resource: string, before: Span, after: Span): Violation {
  const untilMs = Math.min(before.untilMs, after.untilMs);
  const atMs = after.held.fromMs;
  return {
    rule: 'overlap',
    resource,
    atMs,
    detail:
      `${whoOf(before.held)} relied on it until ${before.untilMs}, ${whoOf(after.held)} from ${atMs}: ` +
      `both for ${untilMs - atMs} ms`,
    entries: [before.held, after.held],
  };
}

function whoOf({ client, leaseRef, token, mode }: Held): string {
  return `${client} (${mode}, lease ${leaseRef}, token ${token})`;
}
