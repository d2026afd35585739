/** Which of several resources to ask for, where any of them would do: those that a look shows to be obtainable. */
import { noQuorum, type Refusal } from '../domain/refusals.ts';
import type { LineView, NodeHolder } from '../nodes/node.ts';
import { answeredCount, distinct } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { AcquireAsk } from './locks.ts';
import { obtainableAt, preference } from './sight.ts';
import { holdersIn } from './views.ts';

export type Standing = Pick<LineView, 'position' | 'length'>;

/** `names` is undefined when too few are obtainable. */
export interface Picked extends Standing {
  readonly names: readonly string[] | undefined;
  readonly holders: readonly NodeHolder[];
}

/** Of the resources that would do, enough that a look shows to be obtainable at a majority. */
export async function pick(quorum: Quorum, ask: AcquireAsk): Promise<Picked | Refusal> {
  const { resources, any, mode, owner } = ask;
  const looks = await Promise.all(
    resources.map((resource) => quorum.votes.all({ kind: 'look', resource, history: 0, line: 1 })),
  );
  const answered = Math.min(...looks.map(answeredCount));
  if (answered < quorum.majority) return noQuorum(answered, quorum.size, quorum.retryAfterMs);
  const views = looks.map((answers) =>
    answers.flatMap((answer) => (answer.kind === 'seen' ? [answer.view] : [])),
  );
  const free = new Set(
    resources.filter(
      (_, at) => views[at]!.filter((view) => obtainableAt(view, { mode })).length >= quorum.majority,
    ),
  );
  const names = preference(owner, resources).filter((name) => free.has(name));
  const holders = views.flat().flatMap(holdersIn);
  const length = Math.max(0, ...views.flat().map((view) => view?.line?.length ?? 0));
  const enough = names.length >= any ? names.slice(0, any) : undefined;
  return { names: enough, holders: distinct(holders), position: 0, length };
}
