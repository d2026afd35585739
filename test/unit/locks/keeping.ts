/** Leases that streams keep, over the memory nodes of a world, and what each stream has heard. */
import type { Lease } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import type {
  AcquireAsk,
  Asker,
  Busy,
  Caller,
  Granted,
  Kept,
  KeptNews,
  Loss,
  Queued,
} from '../../../src/locks/locks.ts';
import { asking } from '../../harness/asking.ts';
import { nameOf, present, type Replica, TTL_MS } from './world.ts';

export class Heard implements KeptNews {
  readonly renewals: Lease[] = [];
  readonly losses: Loss[] = [];
  readonly askers: Asker[] = [];

  renewed(lease: Lease): void {
    this.renewals.push(lease);
  }

  lost(loss: Loss): void {
    this.losses.push(loss);
  }

  yieldRequested(asker: Asker): void {
    this.askers.push(asker);
  }
}

export interface Held {
  readonly kept: Kept & Pick<Granted, 'lease'>;
  readonly heard: Heard;
}

export async function hold(
  replica: Replica,
  changes: Partial<AcquireAsk> = {},
  caller: Caller = present,
): Promise<Held> {
  const heard = new Heard();
  const ask = asking({ owner: replica.id, ttlMs: TTL_MS, ...changes });
  return { kept: keptIn(await replica.locks.hold(ask, caller, heard)), heard };
}

export async function resume(replica: Replica, { leaseId }: Pick<Lease, 'leaseId'>): Promise<Held> {
  const heard = new Heard();
  return { kept: keptIn(await replica.locks.resume(nameOf(leaseId), heard)), heard };
}

/** A caller who hears where it stands. */
export class Listener implements Caller {
  readonly principal = '';
  readonly told: Queued[] = [];
  queued(queued: Queued): void {
    this.told.push(queued);
  }

  gone(): boolean {
    return false;
  }

  whenGone(): () => void {
    return () => {};
  }

  get places(): string[] {
    return this.told.map(({ position, holders }) => `${position} ${holders.map(({ owner }) => owner)}`);
  }
}

function keptIn(answer: Granted | Busy | Refusal): Held['kept'] {
  if (answer.kind !== 'granted') throw new Error(`not granted: ${JSON.stringify(answer)}`);
  const { lease, kept } = answer;
  return { lease, name: kept.name, end: (how, graceMs) => kept.end(how, graceMs) };
}
