/** Plays one plan and judges what came of it: what it broke, what it did, and whether it did enough to mean anything. */
import { hash } from 'node:crypto';
import { check, tally } from '../harness/history/check.ts';
import type { Entry, Rule, Tally, Violation } from '../harness/history/history.ts';
import { endedAlive, mendedOf } from './ended.ts';
import { excused } from './excused.ts';
import type { Plan } from './plan.ts';
import { checkOptionsOf } from './stable.ts';
import { type Played, play } from './world/play.ts';

export type Player = (plan: Plan) => Promise<Played>;

/** `crash`: the code itself threw, or never answered; `ended`: a mender took what somebody relied on. */
export type Defect = Rule | 'crash' | 'ended';

export interface Broken {
  readonly rule: Defect;
  readonly resource: string;
  readonly atMs: number;
  readonly detail: string;
}

export interface Verdict {
  readonly seed: number;
  /** False: it did too little to prove anything, which is no pass. */
  readonly valid: boolean;
  readonly clientSeconds: number;
  readonly messages: number;
  readonly tally: Tally;
  /** Overlaps that G1 excepts, because a voter's clock had jumped ahead. */
  readonly excused: number;
  /** What menders have ended, by kind. */
  readonly mended: Readonly<Record<string, number>>;
  readonly broken: readonly Broken[];
  /** Of the whole history: the same seed gives the same one. */
  readonly digest: string;
}

export interface Judged {
  readonly verdict: Verdict;
  readonly history: readonly Entry[];
  readonly violations: readonly Violation[];
}

/** Fewer grants than that, altogether or for each minute of a client, are no traffic. */
const GRANTS_LEAST = 20;
const GRANTS_PER_CLIENT_MINUTE = 1.5;

export async function judge(plan: Plan, player: Player = play): Promise<Judged> {
  const { history, clientSeconds, messages, mended, crash } = await player(plan);
  const found = check(history, checkOptionsOf(plan));
  const violations = found.filter((violation) => !excused(plan, violation));
  const sums = tally(history);
  const verdict: Verdict = {
    seed: plan.seed,
    valid: sums.granted >= GRANTS_LEAST && (60 * sums.granted) / clientSeconds >= GRANTS_PER_CLIENT_MINUTE,
    clientSeconds,
    messages,
    tally: sums,
    excused: found.length - violations.length,
    mended: mendedOf(mended),
    broken: [
      ...violations.map(({ rule, resource, atMs, detail }) => ({ rule, resource, atMs, detail })),
      ...endedAlive(plan, history, mended),
      ...(crash === undefined
        ? []
        : [{ rule: 'crash' as const, resource: '', atMs: plan.endMs, detail: crash.stack ?? crash.message }]),
    ],
    digest: hash('sha256', textOf(history), 'base64url').slice(0, 12),
  };
  return { verdict, history, violations };
}

function textOf(history: readonly Entry[]): string {
  return JSON.stringify(history, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
