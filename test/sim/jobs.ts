/** What the runner asks of its processes, and what they answer. */
import type { Defect, Verdict } from './judge.ts';
import type { Plan } from './plan.ts';

export type Job =
  | { readonly kind: 'judge'; readonly plan: Plan }
  | { readonly kind: 'shrink'; readonly plan: Plan; readonly rule: Defect; readonly budgetMs: number };

export type Done =
  | { readonly kind: 'judged'; readonly verdict: Verdict; readonly tookMs: number }
  | { readonly kind: 'shrunk'; readonly plan: Plan; readonly plays: number; readonly trace: string };
