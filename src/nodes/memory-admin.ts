/** The admin operations of a memory node: meta and quarantine by compare-and-set, fences for a takeover (admin.ts). */
import { maxToken } from '../domain/token.ts';
import type { AdminAnswer, AdminOp, FenceEntry, Meta, NewMeta } from './admin.ts';
import { setFence } from './memory-record.ts';
import { type Fence, nextPage, type Store } from './memory-store.ts';

type Of<K extends AdminOp['kind']> = Extract<AdminOp, { kind: K }>;

const done: AdminAnswer = { kind: 'done' };

function lost(detail: string): AdminAnswer {
  return { kind: 'lost', detail };
}

export function administer(store: Store, op: AdminOp, nowMicros: number): AdminAnswer {
  switch (op.kind) {
    case 'read':
      return state(store);
    case 'quarantine':
      return quarantine(store, op);
    case 'create':
      return create(store, op);
    case 'inherit':
      return inherit(store, op);
    case 'durable':
      return ofRun(store, op.runId, (meta) => {
        store.meta = { ...meta, durable: op.durable };
        return done;
      });
    case 'suspect':
      return ofRun(store, op.runId, (meta) => {
        store.suspectUntil = nowMicros + meta.longestTtlMs * 1000;
        return done;
      });
    case 'fences':
      return adopted(store, op.runId) ? fences(store, op) : ofRun(store, op.runId, () => fences(store, op));
    case 'takeover':
      return takeover(store, op);
    case 'retire':
      return retire(store, op);
    case 'adopt':
      return adopt(store, op);
  }
}

/** The meta with the node's own floor and suspicion, and the quarantine: whatever stands. */
function state(store: Store): AdminAnswer {
  const { floor, suspectUntil, quarantine: standing } = store;
  const meta: Meta | undefined =
    store.meta === undefined ? undefined : { ...store.meta, floor, suspectUntil };
  return {
    kind: 'state',
    ...(meta === undefined ? {} : { meta }),
    ...(standing === undefined ? {} : { quarantine: standing }),
  };
}

/** Does `act` iff the node bears a meta of this run. */
function ofRun(store: Store, runId: string, act: (meta: NewMeta) => AdminAnswer): AdminAnswer {
  return store.meta?.runId === runId ? act(store.meta) : lost('no meta of this run');
}

/** A meta of another run stays beside the quarantine: `inherit` may still want it, and it lets nobody vote. */
function quarantine(store: Store, op: Of<'quarantine'>): AdminAnswer {
  const { id, runId, cluster, why, longestTtlMs } = op;
  if (store.quarantine?.runId !== runId && store.meta?.runId !== runId) {
    store.quarantine = { id, runId, cluster, why, adopted: false, longestTtlMs };
  }
  return state(store);
}

function create(store: Store, op: Of<'create'>): AdminAnswer {
  const standing = store.quarantine;
  if (standing?.id !== op.quarantineId || standing.runId !== op.meta.runId) return lost('no such quarantine');
  store.meta = op.meta;
  store.quarantine = undefined;
  return done;
}

/** A quarantine ends with it: nothing was forgotten, so nothing is waited for. */
function inherit(store: Store, op: Of<'inherit'>): AdminAnswer {
  const { meta } = store;
  if (meta?.runId !== op.previousRunId) return lost('no meta of the previous run');
  if (!meta.durable) return lost('the previous run was not durable');
  store.meta = { ...meta, runId: op.runId, durable: op.durable };
  store.quarantine = undefined;
  return done;
}

function fences(store: Store, op: Of<'fences'>): AdminAnswer {
  const { names } = store.page(op.after, op.limit);
  const entries = names.flatMap((resource): FenceEntry[] => {
    const fence = store.record(resource)?.fence;
    return fence === undefined ? [] : [{ resource, ...fence }];
  });
  return { kind: 'fences', entries, next: nextPage(names, op.limit), floor: store.floor };
}

/** Adopted already: no meta any more, but the fences are still there for a second try of the adoption. */
function adopted({ meta, quarantine: standing }: Store, runId: string): boolean {
  return meta === undefined && standing?.adopted === true && standing.runId === runId;
}

function takeover(store: Store, op: Of<'takeover'>): AdminAnswer {
  const standing = store.quarantine;
  if (standing?.id !== op.quarantineId || standing.runId !== op.runId) return lost('no such quarantine');
  for (const entry of op.entries) raise(store, entry);
  store.floor = maxToken(store.floor, op.floor);
  return done;
}

/**
 * Never lowers: the higher token wins. Of equal ones, only the same opener keeps the fence open: otherwise two leases
 * could be granted this token (docs/decisions/0003-what-the-model-says.md, C3).
 */
function raise(store: Store, { resource, token, state, opener }: FenceEntry): void {
  const own = store.record(resource)?.fence;
  if (own !== undefined && token < own.token) return;
  if (own?.token === token) {
    if (own.state !== 'open' || (state === 'open' && opener === own.opener)) return;
    bring(store, resource, { token, state: state === 'open' ? 'undone' : state, opener: '' });
    return;
  }
  bring(store, resource, { token, state, opener: state === 'open' ? opener : '' });
}

/** Another node's fence does not say whether a reader set it, so it counts as a writer's. */
function bring(store: Store, resource: string, fence: Fence): void {
  setFence(store.recordFor(resource), fence, 'exclusive');
}

/** Old proposers find another cluster and stay silent; `fences` asks only for the run, so it still answers. */
function retire(store: Store, op: Of<'retire'>): AdminAnswer {
  if (adopted(store, op.runId)) return done;
  const retired = `${op.newCluster}.retired`;
  return ofRun(store, op.runId, (meta) => {
    if (meta.cluster === retired) return done;
    if (meta.cluster !== op.oldCluster) return lost('another cluster');
    store.meta = { ...meta, cluster: retired };
    return done;
  });
}

/** Floor and suspicion stay: they are the node's own and hold in the new cluster too. */
function adopt(store: Store, op: Of<'adopt'>): AdminAnswer {
  const { id, runId, cluster, why, longestTtlMs } = op;
  store.meta = undefined;
  store.quarantine = { id, runId, cluster, why, adopted: true, longestTtlMs };
  return done;
}
