/** How a job is: from live state where somebody works on it now, else from what is written; and which of the two. */
import { type Holder, UnknownResourceError } from '@holdfast/client';
import { lockOf, PATIENCE_MS, type Stores } from './stores.ts';

export interface Status {
  readonly id: string;
  readonly state: string;
  /** `live`: from the lease that is held on it now. `history`: from its row. */
  readonly source: 'live' | 'history';
  readonly worker?: string;
  readonly progress?: string;
  readonly result?: unknown;
  /** Set when nobody could say whether it is being worked on. */
  readonly live?: 'unavailable';
}

/**
 * Undefined if there is no such job. Looks at the lock BEFORE the row: a submission commits before it gives its lock up,
 * so whoever finds the lock free finds the row of every submission that was answered.
 */
export async function statusOf({ locks, sql }: Stores, id: string): Promise<Status | undefined> {
  const seen = await look(locks.inspect(lockOf(id)));
  const { rows } = await sql.query(`select state, result from jobs where id = $1 and state <> 'withdrawn'`, [
    id,
  ]);
  const row = rows[0] as { state: string; result: unknown } | undefined;
  const holder = seen?.holders[0];
  const blind = seen === undefined ? ({ live: 'unavailable' } as const) : {};
  if (row === undefined) {
    if (holder?.labels.phase === 'submit') return { id, state: 'submitting', source: 'live' };
    return undefined;
  }
  if (row.state === 'queued' && holder?.labels.phase === 'work') {
    return { id, state: 'running', source: 'live', worker: holder.owner, progress: holder.progress };
  }
  const result = row.result === null ? {} : { result: row.result };
  return { id, state: row.state, source: 'history', ...result, ...blind };
}

type Seen = { readonly holders: readonly Holder[] };

/** Undefined where the lock service cannot be asked: then history has to do. */
async function look(asked: Promise<Seen>): Promise<Seen | undefined> {
  const late = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), PATIENCE_MS).unref();
  });
  return Promise.race([asked, late]).catch((error: unknown) =>
    error instanceof UnknownResourceError ? { holders: [] } : undefined,
  );
}
