/** Runs by hand, of any length: `node test/torture/main.ts --seconds S --seed N`; README.md has the rest. */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemRandom } from '../../src/std/random.ts';
import { writeEntry } from '../harness/history/format.ts';
import { type Subject, subjects } from './orders.ts';
import { reportOf } from './report.ts';
import { type Ran, torture } from './run.ts';
import { ruleOff } from './without.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: process.env.HOLDFAST_SEED ?? '' },
    runs: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '4' },
    with: { type: 'string', default: 'holdfast' },
    off: { type: 'string' },
    plain: { type: 'boolean', default: false },
    clocks: { type: 'boolean', default: false },
    history: { type: 'string' },
  },
});
const subject = values.with as Subject;
if (!subjects.includes(subject)) throw new Error(`--with must be one of ${subjects.join(', ')}`);
if (values.nodes !== '3' && values.nodes !== '5') throw new Error('--nodes must be 3 or 5');

const BROKEN = 1;
const INVALID = 2;

const codeOf = ({ violations, crashes, invalid }: Ran): number =>
  violations.length + crashes.length > 0 ? BROKEN : invalid.length > 0 ? INVALID : 0;

const first = values.seed === '' ? Math.floor(systemRandom.fraction() * 1e9) : Number(values.seed);
const codes: number[] = [];
for (let run = 0; run < Number(values.runs); run += 1) {
  const ran = await torture({
    seed: first + run,
    seconds: Number(values.seconds),
    clients: Number(values.clients),
    nodes: values.nodes === '5' ? 5 : 3,
    subject,
    plain: values.plain || subject !== 'holdfast',
    clocks: values.clocks,
    env: values.off === undefined ? {} : ruleOff(values.off),
  });
  if (values.history !== undefined) {
    appendFileSync(values.history, ran.history.map((entry) => `${writeEntry(entry)}\n`).join(''));
  }
  process.stdout.write(`${reportOf(ran)}\n`);
  codes.push(codeOf(ran));
}
process.exit(codes.includes(BROKEN) ? BROKEN : Math.max(...codes));
