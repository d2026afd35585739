/** One process of the runner: judges the plans that it is sent, one after the other, and shrinks those that broke a rule. */
import { systemClock } from '../../src/std/clock.ts';
import type { Done, Job } from './jobs.ts';
import { type Defect, type Judged, judge } from './judge.ts';
import type { Plan } from './plan.ts';
import { shrink } from './shrink.ts';
import { traceOf } from './trace.ts';

const breaks = ({ verdict }: Judged, rule: Defect): boolean =>
  verdict.broken.some((broken) => broken.rule === rule);

async function smaller(plan: Plan, rule: Defect, budgetMs: number): Promise<Done> {
  const untilMs = systemClock.monotonicMs() + budgetMs;
  let plays = 0;
  const shrunk = await shrink(plan, {
    breaks: async (candidate) => {
      plays += 1;
      return breaks(await judge(candidate), rule);
    },
    spent: () => systemClock.monotonicMs() > untilMs,
  });
  return { kind: 'shrunk', plan: shrunk, plays, trace: traceOf(plan, shrunk, rule, await judge(shrunk)) };
}

async function done(job: Job): Promise<Done> {
  if (job.kind === 'shrink') return smaller(job.plan, job.rule, job.budgetMs);
  const startedMs = systemClock.monotonicMs();
  const { verdict } = await judge(job.plan);
  return { kind: 'judged', verdict, tookMs: systemClock.monotonicMs() - startedMs };
}

process.on('message', (job: Job) => {
  void done(job).then((answer) => process.send!(answer));
});
