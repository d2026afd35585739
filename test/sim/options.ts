/** What the runner was asked for, on its command line. */
import { parseArgs } from 'node:util';

export interface Options {
  readonly from: number;
  /** How many seeds at most. */
  readonly seeds: number;
  /** No seed begins later than that; Infinity: whenever. */
  readonly seconds: number;
  readonly jobs: number;
  readonly verbose: boolean;
  readonly json: string | undefined;
  /** Plays this plan, from a file, instead of those of seeds. */
  readonly plan: string | undefined;
}

export const USAGE = `node test/sim/run.ts [--seed N | --from N --seeds M | --plan FILE] [--seconds S] [--jobs J] [--verbose] [--json FILE]
  --seed N      this seed alone
  --from N      the first seed, 1 unless said
  --seeds M     how many; 100 unless said, with --seconds as many as it can
  --plan FILE   a plan as a failure wrote it, instead of a seed
  --seconds S   no seed begins later than that
  --jobs J      processes, 2 unless said
  --verbose     a line for each seed
  --json FILE   all of it for programs`;

const DEFAULT_SEEDS = 100;

/** A sentence where the command line makes no sense. */
export function parse(argv: readonly string[]): Options | string {
  const flag = { type: 'string' } as const;
  let values: Partial<Record<string, string | boolean>>;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        seed: flag,
        from: flag,
        seeds: flag,
        seconds: flag,
        jobs: flag,
        json: flag,
        plan: flag,
        verbose: { type: 'boolean' },
      },
    }));
  } catch (error) {
    return (error as Error).message;
  }
  const given = (name: string): string | undefined => values[name] as string | undefined;
  const wrong = ['seed', 'from', 'seeds', 'seconds', 'jobs'].find(
    (name) => given(name) !== undefined && !/^[1-9]\d{0,9}$/.test(given(name)!),
  );
  if (wrong !== undefined) return `--${wrong} ${given(wrong)}: a whole number from 1`;
  const number = (name: string, otherwise: number): number => Number(given(name) ?? otherwise);
  const one = given('seed') !== undefined || given('plan') !== undefined;
  return {
    from: number('seed', number('from', 1)),
    seeds: one ? 1 : number('seeds', given('seconds') === undefined ? DEFAULT_SEEDS : 2 ** 31),
    seconds: number('seconds', Number.POSITIVE_INFINITY),
    jobs: number('jobs', 2),
    verbose: values.verbose === true,
    json: given('json'),
    plan: given('plan'),
  };
}
