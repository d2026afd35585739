/** What a lease protects: a register that checks tokens, its twin that does not, and what a history says they lost. */
import type { History, Violation, Wrote } from './history.ts';

/** The value before the first write. */
export const EMPTY = '';

export type Read = { readonly kind: 'value'; readonly value: string } | { readonly kind: 'stale' };

/** Reading installs the token; whoever comes with a smaller one than the largest seen is refused. */
export class FencedRegister {
  readonly #cells = new Map<string, { fence: bigint; value: string }>();

  read(resource: string, token: bigint): Read {
    const cell = this.#admit(resource, token);
    return cell === undefined ? { kind: 'stale' } : { kind: 'value', value: cell.value };
  }

  /** `read` is for the history alone: the token decides. */
  write(resource: string, token: bigint, _read: string, wrote: string): 'written' | 'stale' {
    const cell = this.#admit(resource, token);
    if (cell === undefined) return 'stale';
    cell.value = wrote;
    return 'written';
  }

  #admit(resource: string, token: bigint): { fence: bigint; value: string } | undefined {
    const cell = this.#cells.get(resource) ?? { fence: 0n, value: EMPTY };
    if (token < cell.fence) return undefined;
    cell.fence = token;
    this.#cells.set(resource, cell);
    return cell;
  }
}

/** The same without a fence: what is lost here is what the token saves there. */
export class UnfencedTwin {
  readonly #values = new Map<string, string>();

  read(resource: string, _token: bigint): Read {
    return { kind: 'value', value: this.#values.get(resource) ?? EMPTY };
  }

  write(resource: string, _token: bigint, _read: string, wrote: string): 'written' {
    this.#values.set(resource, wrote);
    return 'written';
  }
}

/** Written over something that the writer had not seen: both saw `read`, and both took effect. */
export interface Lost {
  readonly first: Wrote;
  readonly second: Wrote;
}

export function lostUpdates(history: History, register: Wrote['register']): Lost[] {
  return [...chainsOf(history, register).values()].flatMap((writes) => {
    const bySeen = new Map<string, Wrote>();
    return [...tookEffect(writes)].flatMap(([, second]): Lost[] => {
      const first = bySeen.get(second.read);
      if (first === undefined) bySeen.set(second.read, second);
      return first === undefined ? [] : [{ first, second }];
    });
  });
}

/**
 * Values are unique, so the register had each of them once: two writes that saw the same one cannot both have seen the
 * write before them. The converse holds as well while every write is in the history: if all saw different values, each
 * saw its predecessor. A write that is missing (its writer was killed) hides losses, and makes none up.
 */
export function fencedLost(history: History): Violation[] {
  const lost = lostUpdates(history, 'fenced')
    // What one lease does to itself, by a write of its own that comes late, no token can tell apart.
    .filter(({ first, second }) => first.token !== second.token)
    .map(({ first, second }) =>
      broken(
        [first, second],
        `${nameOf(first)} and ${nameOf(second)} both saw '${second.read}' and both took effect`,
      ),
    );
  return [...lost, ...[...chainsOf(history, 'fenced').values()].flatMap(unfenced)];
}

/** What the fence itself must prevent: a refused write that was seen, and an older token that saw a newer one's write. */
function unfenced(writes: readonly Wrote[]): Violation[] {
  const byValue = new Map(writes.map((write) => [write.wrote, write]));
  return writes.flatMap((write): Violation[] => {
    const before = byValue.get(write.read);
    if (before === undefined) return [];
    if (before.outcome === 'stale') {
      return [
        broken([before, write], `${nameOf(before)} was refused, and ${nameOf(write)} saw what it wrote`),
      ];
    }
    if (write.outcome === 'written' && before.token > write.token) {
      return [broken([before, write], `${nameOf(write)} was admitted behind ${nameOf(before)}`)];
    }
    return [];
  });
}

function chainsOf(history: History, register: Wrote['register']): Map<string, Wrote[]> {
  const writes = history.filter(
    (entry): entry is Wrote => entry.kind === 'write' && entry.register === register,
  );
  writes.sort((one, other) => one.calledMs - other.calledMs);
  return Map.groupBy(writes, ({ resource }) => resource);
}

/** By value: the writes that said so, and those without an answer whose value somebody saw. */
function tookEffect(writes: readonly Wrote[]): Map<string, Wrote> {
  const seen = new Set(writes.map(({ read }) => read));
  const effective = writes.filter(
    ({ outcome, wrote }) => outcome === 'written' || (outcome === 'unknown' && seen.has(wrote)),
  );
  return new Map(effective.map((write) => [write.wrote, write]));
}

const nameOf = ({ client, token, wrote }: Wrote): string => `${client}'s '${wrote}' (token ${token})`;

function broken(entries: readonly [Wrote, Wrote], detail: string): Violation {
  const [, last] = entries;
  const atMs = last.answeredMs ?? last.calledMs;
  return { rule: 'fenced-lost', resource: last.resource, atMs, detail, entries };
}
