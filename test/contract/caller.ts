/** What the contract suite says to a node, with everything that a test does not care about filled in. */
import type { AdminAnswer, AdminOp } from '../../src/nodes/admin.ts';
import type { LeaveOp, LineView, NodeWaiter, Place } from '../../src/nodes/line.ts';
import type {
  Answer,
  ClosedWhy,
  HoldOp,
  Marker,
  NodeEvent,
  NodeHolder,
  NodeOp,
  NodeView,
  ReleaseOp,
  RenewOp,
  RepairOp,
} from '../../src/nodes/node.ts';
import { replica, reset, startMicros, type UnderTest } from './under-test.ts';

export const ttlMs = 30_000;
export const ttlMicros = ttlMs * 1000;

/** One attempt of one lease: what its hold, its renewals and its release have in common. */
export interface Attempt {
  readonly secret: string;
  readonly token: bigint;
  readonly value: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
}

/** A token so many microseconds from the time at which each test starts. */
export function tokenAt(micros = 0): bigint {
  return BigInt(startMicros + micros);
}

export function attempt(secret: string, token: bigint, ...resources: string[]): Attempt {
  const value = `${secret}|${token}`;
  return { secret, token, value, leaseRef: `ref of ${value}`, resources };
}

export function ownerOf({ secret }: Attempt): string {
  return `owner of ${secret}`;
}

export function cardOf({ resources }: Attempt): string {
  return JSON.stringify({ resources, note: 'kept unread' });
}

/** The holder that views show for a held attempt; without changes, one that was granted this very moment. */
export function holderOf(of: Attempt, changes: Partial<NodeHolder> = {}): NodeHolder {
  return {
    resource: of.resources[0] ?? '',
    leaseRef: of.leaseRef,
    token: of.token,
    owner: ownerOf(of),
    remainingMs: ttlMs,
    card: cardOf(of),
    binding: 0,
    progress: '',
    ...changes,
  };
}

export const livenessMs = 10_000;
export const livenessMicros = livenessMs * 1000;

/** A place of which only the order matters: an exclusive one in the line of `a`, whose ticket is its order. */
export function placeOf(id: string, order: number, changes: Partial<Place> = {}): Place {
  return {
    id,
    ticket: order,
    order,
    priority: 0,
    replica,
    owner: `owner of ${id}`,
    mode: 'exclusive',
    any: 0,
    resources: ['a'],
    livenessMs,
    most: 100,
    ...changes,
  };
}

/** What views show of who waits there. */
export function waiterOf({ replica: _, livenessMs: __, most: ___, ...shown }: Place): NodeWaiter {
  return shown;
}

/** The line as `place` sees it; without changes, alone in the line of something free. */
export function lineOf(place: Place, changes: Partial<LineView> = {}): LineView {
  const { ticket, order, resources: free } = place;
  return { position: 1, length: 1, ticket, order, free, tangled: false, ...changes };
}

/** The line as somebody without a place sees it. */
export function lineOutside(length: number): LineView {
  return { position: 0, length, ticket: 0, order: 0, free: [], tangled: false };
}

export function eventOf(of: Attempt, type: NodeEvent['type'], changes: Partial<NodeEvent> = {}): NodeEvent {
  const { token, leaseRef } = of;
  return { type, timeMicros: startMicros, token, leaseRef, owner: ownerOf(of), reason: '', ...changes };
}

export class Caller {
  readonly under: UnderTest;

  constructor(under: UnderTest) {
    this.under = under;
  }

  get runId(): string {
    return this.under.runId;
  }

  reset(): Promise<void> {
    return reset(this.under);
  }

  /** Sets the node's clock so many microseconds from the start of the test. */
  at(micros: number): void {
    this.under.setClock(startMicros + micros);
  }

  ask(op: NodeOp): Promise<Answer> {
    return this.under.node.ask(op);
  }

  admin(op: AdminOp): Promise<AdminAnswer> {
    return this.under.node.admin(op);
  }

  hold(of: Attempt, more: Partial<HoldOp> & { marker?: Marker } = {}): Promise<Answer> {
    return this.ask({ kind: 'hold', ...of, ttlMs, owner: ownerOf(of), card: cardOf(of), seen: 0n, ...more });
  }

  renew(of: Attempt, more: Partial<RenewOp> = {}): Promise<Answer> {
    const { value, leaseRef, token, resources } = of;
    return this.ask({ kind: 'renew', value, leaseRef, token, resources, ttlMs, ...more });
  }

  repair(of: Attempt, more: Partial<RepairOp> = {}): Promise<Answer> {
    const bearing = { owner: ownerOf(of), card: cardOf(of), binding: 0, progress: '' };
    return this.ask({ kind: 'repair', ...of, ttlMs, ...bearing, ...more });
  }

  /** As a client's Release: it closes nothing where nothing matched. */
  release(of: Attempt, more: Partial<ReleaseOp> = {}): Promise<Answer> {
    const { secret, token, value, resources } = of;
    const saying = { why: 'released', reason: '', closing: false, seen: 0n } as const;
    return this.ask({ kind: 'release', secret, token, value, resources, ...saying, ...more });
  }

  /** As a proposer takes its own vote back: closing whether or not it matched. */
  undo(of: Attempt, more: Partial<ReleaseOp> = {}): Promise<Answer> {
    return this.release(of, { why: 'undone', closing: true, ...more });
  }

  force(resource: string, leaseRef = '', reason = 'by hand'): Promise<Answer> {
    return this.ask({ kind: 'force', resource, leaseRef, reason });
  }

  join(place: Place): Promise<Answer> {
    return this.ask({ kind: 'join', place });
  }

  leaveLine({ id, mode, resources, replica }: Place, more: Partial<LeaveOp> = {}): Promise<Answer> {
    return this.ask({ kind: 'leave', id, mode, resources, replica, ...more });
  }

  settle(...resources: string[]): Promise<Answer> {
    return this.ask({ kind: 'settle', resources });
  }

  async waits(owner: string): Promise<readonly NodeWaiter[]> {
    const answer = await this.ask({ kind: 'waits', owner });
    if (answer.kind !== 'waiting') throw new Error(`waits was answered with ${answer.kind}`);
    return answer.waiters;
  }

  /** Who stands in line, in order, without the dead ones. */
  async standing(resource: string): Promise<readonly string[]> {
    const view = await this.look(resource, 0, 100);
    return view?.line?.waiters.map(({ id }) => id) ?? [];
  }

  async look(resource: string, history = 0, line?: number): Promise<NodeView | null> {
    const answer = await this.ask({
      kind: 'look',
      resource,
      history,
      ...(line === undefined ? {} : { line }),
    });
    if (answer.kind !== 'seen') throw new Error(`look was answered with ${answer.kind}`);
    return answer.view;
  }

  async fence(resource: string): Promise<{ token: bigint; state: 'open' | ClosedWhy } | undefined> {
    return (await this.look(resource))?.fence;
  }

  async history(resource: string, events = 100): Promise<readonly NodeEvent[]> {
    return (await this.look(resource, events))?.history ?? [];
  }

  /** Drops the fences older than a day; afterwards the floor is the highest of their tokens. */
  async sweep(): Promise<Answer> {
    return this.ask({ kind: 'sweep', after: '', limit: 100 });
  }

  async state(): Promise<Extract<AdminAnswer, { kind: 'state' }>> {
    const answer = await this.admin({ kind: 'read' });
    if (answer.kind !== 'state') throw new Error(`read was answered with ${answer.kind}`);
    return answer;
  }
}

/** Silence, whatever its detail says. */
export function silence(why: string): unknown {
  return expectDetail({ kind: 'silent', why });
}

/** A failed comparison, whatever its detail says. */
export function lost(): unknown {
  return expectDetail({ kind: 'lost' });
}

/** toEqual calls this on both sides: an object that stands for itself with any detail. */
function expectDetail(part: Record<string, unknown>) {
  return {
    asymmetricMatch: (other: Record<string, unknown>) =>
      Object.entries(part).every(([key, value]) => other?.[key] === value) &&
      typeof other?.detail === 'string',
    toString: () => JSON.stringify(part),
  };
}
