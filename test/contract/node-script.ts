/** Turns random steps into what is asked of a node, without looking at its answers: both nodes get the very same. */
import {
  fenceAgeMicros,
  limits,
  requestMemoryMs,
  tokenLeadMicros,
  tokenSlackMicros,
} from '../../src/domain/limits.ts';
import type { AdminOp, NewMeta } from '../../src/nodes/admin.ts';
import type { NodeOp, Stamp } from '../../src/nodes/node.ts';
import type { LeaseStep, TokenStep } from './lease-steps.ts';
import { type LineStep, lastsMs, lineOp, placeOf, triedAt } from './line-steps.ts';
import { type AdminStep, type Brought, furthestBackMicros, type MoveStep, type Step } from './node-steps.ts';
import { longestTtlMs, metaOf, stampOf, startMicros } from './under-test.ts';

export type Action =
  | { readonly do: 'ask'; readonly op: NodeOp }
  | { readonly do: 'admin'; readonly op: AdminOp }
  | { readonly do: 'clock'; readonly micros: number }
  | { readonly do: 'admit'; readonly stamp: Stamp }
  | { readonly do: 'lose' };

interface Attempt {
  readonly secret: string;
  readonly token: bigint;
  readonly value: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
  readonly mode?: 'shared';
}

type Votes = Exclude<Step, LineStep | { do: 'move' | 'admit' | 'admin' | 'heal' | 'lose' | 'churn' }>;

/** All that `steps` ask, in order. `runId` is the run in which the node under test really is. */
export function actionsOf(steps: readonly Step[], runId: string): Action[] {
  const script = new Script(runId);
  return steps.flatMap((step) => script.resolve(step));
}

class Script {
  readonly #runs: readonly string[];
  readonly #attempts: Attempt[] = [];
  readonly #tokens: bigint[] = [];
  /** When something ends: expiries, suspicions, markers, the ages of fences. */
  readonly #instants: number[] = [];
  #nowMicros = startMicros;
  #highestMicros = startMicros;

  constructor(runId: string) {
    this.#runs = [runId, 'run-1', 'run-2'];
  }

  resolve(step: Step): Action[] {
    switch (step.do) {
      case 'move':
        return [{ do: 'clock', micros: this.#move(step.move) }];
      case 'admit':
        return [{ do: 'admit', stamp: stampOf(this.#runs[0]!, step.cluster, step.longestTtlMs) }];
      case 'admin':
        return [{ do: 'admin', op: this.#admin(step.op) }];
      case 'heal':
        return this.#heal(step.brought);
      case 'lose':
        return [{ do: 'lose' }];
      case 'churn':
        return this.#churn(step.name, step.times);
      case 'join':
      case 'leave':
      case 'waits':
      case 'settle':
      case 'watch':
      case 'tell':
        return [{ do: 'ask', op: this.#line(step) }];
      default:
        return [{ do: 'ask', op: this.#vote(step) }];
    }
  }

  #vote(step: Votes): NodeOp {
    switch (step.do) {
      case 'hold':
        return this.#hold(step);
      case 'repair': {
        const { ttlMs, marker, binding, progress } = step;
        const held = this.#promised(step.lease, ttlMs);
        return { kind: 'repair', ...held, ttlMs, binding, progress, ...(marker && { marker }) };
      }
      case 'renew': {
        const { value, leaseRef, token, resources } = this.#promised(step.lease, step.ttlMs);
        const progress = step.progress === undefined ? {} : { progress: step.progress };
        const more = { ...progress, ...step.binding };
        return { kind: 'renew', value, leaseRef, token, resources, ttlMs: step.ttlMs, ...more };
      }
      case 'release':
        return this.#release(step);
      case 'end': {
        const { secret, token, value, resources } = this.#attempt(step.lease);
        const plain = { why: 'released', reason: '', closing: false, seen: 0n } as const;
        return { kind: 'release', secret, token, value, resources, ...plain, binding: step.binding };
      }
      case 'reveal': {
        const leaseRef = at(this.#attempts, step.of)?.leaseRef ?? 'nobody';
        return { kind: 'reveal', resource: step.name, leaseRef };
      }
      case 'bar': {
        const { secret, token, value, resources, mode } = this.#attempt(step.lease);
        return { kind: 'bar', secret, token, value, resources, ...(mode && { mode }) };
      }
      case 'force': {
        const leaseRef = step.of === undefined ? '' : (at(this.#attempts, step.of)?.leaseRef ?? 'nobody');
        this.#remembers();
        return { kind: 'force', resource: step.name, leaseRef, reason: 'by hand' };
      }
      case 'look':
        // None is what a look means that does not say.
        return {
          kind: 'look',
          resource: step.name,
          history: step.history,
          ...(step.line && { line: step.line }),
        };
      case 'list':
        return { kind: 'list', prefix: step.prefix, after: step.after, limit: step.limit };
      case 'sweep':
        return { kind: 'sweep', after: step.after, limit: step.limit };
      case 'ping':
        return { kind: 'ping' };
    }
  }

  #hold({ lease, ttlMs, seen, marker, place }: Extract<Step, { do: 'hold' }>): NodeOp {
    if (place === undefined) {
      const held = this.#promised(lease, ttlMs);
      return { kind: 'hold', ...held, ttlMs, seen: this.#seen(seen), ...(marker && { marker }) };
    }
    this.#lasts(place.livenessMs);
    const waiting = { ...lease, names: triedAt(place), ownNames: false, shared: place.shared };
    const held = this.#promised(waiting, ttlMs);
    const where = { place: placeOf(place), ...(marker && { marker }) };
    return { kind: 'hold', ...held, ttlMs, seen: this.#seen(seen), ...where };
  }

  #line(step: LineStep): NodeOp {
    this.#lasts(lastsMs(step));
    return lineOp(step, this.#tokens.at(-1) ?? 0n);
  }

  /** A place, or the watching, ends then. */
  #lasts(ms: number): void {
    this.#instants.push(this.#nowMicros + ms * 1000);
  }

  #release(step: Extract<Step, { do: 'release' }>): NodeOp {
    const { why, closing, binding, markerKey } = step;
    const { secret, token, value, resources } = this.#attempt(step.lease);
    this.#remembers();
    return {
      kind: 'release',
      secret,
      token,
      value,
      resources,
      why,
      // Without a reason a plain release takes the node's short way: see answer.lua.
      reason: step.seen === undefined ? '' : 'because',
      closing,
      seen: this.#seen(step.seen),
      ...(binding === undefined ? {} : { binding }),
      ...(markerKey === undefined ? {} : { markerKey }),
    };
  }

  /** An attempt that asks for a promise of `ttlMs`, with what only those who hold say. */
  #promised(lease: LeaseStep, ttlMs: number) {
    const attempt = this.#attempt(lease);
    this.#instants.push(this.#nowMicros + ttlMs * 1000, this.#nowMicros + longestTtlMs * 1000);
    return {
      ...attempt,
      owner: `owner of ${attempt.secret}`,
      card: JSON.stringify({ resources: attempt.resources, of: attempt.secret }),
    };
  }

  #attempt(lease: LeaseStep): Attempt {
    const known = lease.again ? at(this.#attempts, lease.index) : undefined;
    const mode = lease.shared ? ({ mode: 'shared' } as const) : {};
    if (known !== undefined) {
      const { mode: _, ...bare } = known;
      return lease.ownNames ? known : { ...bare, ...mode, resources: lease.names };
    }
    const token = this.#token(lease.token);
    const secret = `secret${lease.secret}`;
    const value = `${secret}|${token}`;
    const attempt = { secret, token, value, leaseRef: `ref of ${value}`, resources: lease.names, ...mode };
    this.#attempts.push(attempt);
    this.#tokens.push(token);
    this.#instants.push(Number(token) - tokenLeadMicros, Number(token) + fenceAgeMicros);
    return attempt;
  }

  #token({ from, index, delta }: TokenStep): bigint {
    const known = at(this.#tokens, index);
    if (from === 'known' && known !== undefined) return known + BigInt(delta);
    return BigInt(this.#nowMicros + delta - (from === 'aged' ? fenceAgeMicros : 0));
  }

  #seen(step: TokenStep | undefined): bigint {
    return step === undefined ? 0n : this.#token(step);
  }

  /** A marker that ends now is remembered until then. */
  #remembers(): void {
    this.#instants.push(this.#nowMicros + requestMemoryMs * 1000);
  }

  #move(move: MoveStep): number {
    const from = move.to === 'delta' ? this.#nowMicros : (at(this.#instants, move.index) ?? this.#nowMicros);
    this.#nowMicros = Math.max(from + move.micros, this.#highestMicros - furthestBackMicros);
    this.#highestMicros = Math.max(this.#highestMicros, this.#nowMicros);
    return this.#nowMicros;
  }

  /** Enough events for the ring to overflow: half of them `held`, half `released`. */
  #churn(name: string, times: number): Action[] {
    const lease = { again: false, index: 0, secret: 0, names: [name], ownNames: true, shared: false };
    return Array.from({ length: times }, (_, n): Action[] => {
      const token = { from: 'now', index: 0, delta: tokenSlackMicros + n } as const;
      const held = this.#promised({ ...lease, token }, 1000);
      const { secret, token: of, value, resources } = held;
      const close = {
        why: 'released',
        reason: n % 2 === 0 ? '' : String(n),
        closing: false,
        seen: 0n,
      } as const;
      return [
        { do: 'ask', op: { kind: 'hold', ...held, ttlMs: 1000, seen: 0n } },
        {
          do: 'ask',
          op: { kind: 'release', secret, token: of, value, resources, ...close },
        },
      ];
    }).flat();
  }

  /** Whatever the node bears, afterwards it bears a meta of its run and is admitted; fences and floor stay. */
  #heal(brought: Brought | undefined): Action[] {
    const [runId] = this.#runs as readonly [string];
    const id = 'healing';
    const adopt: AdminOp = { kind: 'adopt', cluster: 'c', runId, id, why: 'test', longestTtlMs };
    return [
      { do: 'admin', op: adopt },
      ...(brought === undefined ? [] : [{ do: 'admin', op: this.#takeover(runId, id, brought) } as const]),
      { do: 'admin', op: { kind: 'create', quarantineId: id, meta: metaOf(runId) } },
      { do: 'admit', stamp: stampOf(runId) },
    ];
  }

  #admin(step: AdminStep): AdminOp {
    const { kind, id, after, limit, durable, cluster, schema } = step;
    const runId = this.#runs[step.run]!;
    const otherRun = this.#runs[step.otherRun]!;
    const ttlMs = step.longestTtlMs;
    const meta: NewMeta = { ...stampOf(runId, cluster, ttlMs), schema, durable };
    switch (kind) {
      case 'read':
        return { kind };
      case 'quarantine':
      case 'adopt':
        return { kind, runId, id, cluster: `for ${kind}`, why: `why ${kind}`, longestTtlMs: ttlMs };
      case 'create':
        return { kind, quarantineId: id, meta };
      case 'inherit':
        return { kind, previousRunId: otherRun, runId, durable };
      case 'durable':
        return { kind, runId, durable };
      case 'suspect':
        this.#instants.push(this.#nowMicros + ttlMs * 1000);
        return { kind, runId };
      case 'fences':
        return { kind, runId, after, limit: Math.min(limit, limits.pageSizeMax) };
      case 'takeover':
        return this.#takeover(runId, id, step.brought);
      case 'retire':
        return { kind, runId, oldCluster: cluster, newCluster: 'c1' };
    }
  }

  #takeover(runId: string, quarantineId: string, brought: Brought): AdminOp {
    const entries = brought.entries.map(({ name, token, state, secret }) => {
      return { resource: name, token: this.#token(token), state, opener: `secret${secret}` };
    });
    return { kind: 'takeover', runId, quarantineId, entries, floor: this.#token(brought.floor) };
  }
}

/** The newest ones are met most: the index counts back from the end. */
function at<T>(list: readonly T[], index: number): T | undefined {
  return list.length === 0 ? undefined : list[list.length - 1 - (index % Math.min(list.length, 8))];
}
