/** One run of everything at random against real processes; `main.ts` runs for as long as it is told. */
import { expect, test } from 'vitest';
import { formatViolation } from '../harness/history/format.ts';
import { reportOf } from './report.ts';
import { torture } from './run.ts';

/** The run itself takes half a minute; a machine that is busy starts and ends its processes slowly. */
const LONGEST_MS = 150_000;

const seed = Number(process.env.HOLDFAST_SEED ?? 20_260);

test(
  `no guarantee is broken by faults at random (seed ${seed})`,
  async () => {
    const ran = await torture({
      seed,
      seconds: 14,
      nodes: 3,
      clients: 4,
      subject: 'holdfast',
      plain: false,
      clocks: true,
      env: {},
    });
    const report = reportOf(ran);
    expect(ran.violations.map(formatViolation), report).toEqual([]);
    expect(ran.crashes, report).toEqual([]);
    // It proves nothing otherwise: not red for the service's sake, and not green either.
    expect(ran.invalid, report).toEqual([]);
  },
  LONGEST_MS,
);
