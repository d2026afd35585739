/** Makes a plan that breaks a rule smaller, by leaving out, while it still breaks that rule. */
import type { Fault, Habits, Plan } from './plan.ts';

export interface Bounds {
  /** Whether the plan still breaks the rule; each question is a play. */
  readonly breaks: (plan: Plan) => Promise<boolean>;
  /** True when there is no time, or no play, left: then what was found so far is the answer. */
  readonly spent: () => boolean;
}

export async function shrink(plan: Plan, bounds: Bounds): Promise<Plan> {
  let smallest = plan;
  for (;;) {
    const before = sizeOf(smallest);
    for (const step of [noAdoption, noMenders, fewerFaults, shorter, fewerClients, plainer, fewerResources]) {
      smallest = await step(smallest, bounds);
    }
    if (bounds.spent() || sizeOf(smallest) >= before) return smallest;
  }
}

export function sizeOf({ faults, clients, resources, endMs, adoption, mends }: Plan): number {
  const habits = clients.reduce((sum, client) => sum + weightsOf(client.habits).length, 0);
  const parts = faults.length + clients.length + habits + resources.length;
  const extras = [adoption, mends].filter((extra) => extra !== undefined).length;
  return 1000 * (parts + extras) + endMs / 1000;
}

/** Leaves out as many of `parts` as it can: halves first, then ever smaller pieces (ddmin). */
async function fewest<T>(
  parts: readonly T[],
  breaks: (kept: readonly T[]) => Promise<boolean>,
  spent: () => boolean,
): Promise<readonly T[]> {
  let kept = parts;
  if (kept.length > 0 && (await breaks([]))) return [];
  for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
    let shrunk = false;
    for (let at = 0; at < kept.length && !spent(); ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (rest.length > 0 && (await breaks(rest))) {
        kept = rest;
        shrunk = true;
      } else at += size;
    }
    if (spent()) return kept;
    if (size === 1 && !shrunk) return kept;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return kept;
}

async function noAdoption(plan: Plan, { breaks }: Bounds): Promise<Plan> {
  const { adoption, ...without } = plan;
  return adoption !== undefined && (await breaks(without)) ? without : plan;
}

async function noMenders(plan: Plan, { breaks }: Bounds): Promise<Plan> {
  const { mends, ...without } = plan;
  return mends !== undefined && (await breaks(without)) ? without : plan;
}

async function fewerFaults(plan: Plan, { breaks, spent }: Bounds): Promise<Plan> {
  const of = (faults: readonly Fault[]): Plan => ({ ...plan, faults });
  return of(await fewest(plan.faults, (kept) => breaks(of(kept)), spent));
}

async function fewerClients(plan: Plan, { breaks, spent }: Bounds): Promise<Plan> {
  const all = plan.clients.map((_, index) => index);
  const of = (kept: readonly number[]): Plan => onlyClients(plan, kept);
  const enough = async (kept: readonly number[]): Promise<boolean> => kept.length > 0 && breaks(of(kept));
  return of(await fewest(all, enough, spent));
}

/** Faults name clients by their index, so they move with them; those of a client that is left out go with it. */
export function onlyClients(plan: Plan, kept: readonly number[]): Plan {
  const moved = new Map(kept.map((index, at) => [index, at]));
  const faults = plan.faults.flatMap((fault): Fault[] => {
    if ('client' in fault && fault.client !== undefined) {
      const client = moved.get(fault.client);
      return client === undefined ? [] : [{ ...fault, client }];
    }
    if ((fault.kind === 'pause' || fault.kind === 'rate') && fault.who === 'client') {
      const index = moved.get(fault.index);
      return index === undefined ? [] : [{ ...fault, index }];
    }
    return [fault];
  });
  return { ...plan, faults, clients: kept.map((index) => plan.clients[index]!) };
}

/** Fewer resources mean other throws of each client, so this may well find nothing. */
async function fewerResources(plan: Plan, { breaks, spent }: Bounds): Promise<Plan> {
  const of = (resources: readonly string[]): Plan => ({ ...plan, resources });
  const enough = async (kept: readonly string[]): Promise<boolean> => kept.length > 0 && breaks(of(kept));
  return of(await fewest(plan.resources, enough, spent));
}

/** Ends as early as it can; what is left out of the end is the time after the heal first. */
async function shorter(plan: Plan, { breaks, spent }: Bounds): Promise<Plan> {
  for (const share of [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9]) {
    if (spent()) break;
    const healMs = Math.ceil(plan.healMs * share);
    if (plan.adoption !== undefined && plan.adoption.untilMs > healMs) continue;
    const cut: Plan = {
      ...plan,
      healMs,
      endMs: plan.endMs - plan.healMs + healMs,
      faults: plan.faults.flatMap((fault) => until(fault, healMs)),
    };
    if (await breaks(cut)) return cut;
  }
  return plan;
}

/** The part of a fault before `healMs`. */
function until(fault: Fault, healMs: number): Fault[] {
  if (fault.atMs >= healMs) return [];
  return 'untilMs' in fault ? [{ ...fault, untilMs: Math.min(fault.untilMs, healMs) }] : [fault];
}

type Weight = Exclude<keyof Habits, 'manner' | 'ttlMs' | 'waitMs' | 'holdMs' | 'idleMs' | 'priority'>;

function weightsOf(habits: Habits): Weight[] {
  const {
    manner: _,
    ttlMs: __,
    waitMs: ___,
    holdMs: ____,
    idleMs: _____,
    priority: ______,
    ...rest
  } = habits;
  return (Object.keys(rest) as Weight[]).filter((weight) => habits[weight] > 0);
}

/** Each bad manner is given up by everybody, then by one client after the other. */
async function plainer(plan: Plan, { breaks, spent }: Bounds): Promise<Plan> {
  const held = plan.clients.flatMap(({ habits }, index) =>
    weightsOf(habits).map((weight) => ({ index, weight })),
  );
  const of = (kept: readonly (typeof held)[number][]): Plan => ({
    ...plan,
    clients: plan.clients.map((client, index) => {
      const keeps = kept.filter((one) => one.index === index).map(({ weight }) => weight);
      const dropped = weightsOf(client.habits).filter((weight) => !keeps.includes(weight));
      return {
        ...client,
        habits: { ...client.habits, ...Object.fromEntries(dropped.map((weight) => [weight, 0])) },
      };
    }),
  });
  return of(await fewest(held, (kept) => breaks(of(kept)), spent));
}
