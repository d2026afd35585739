/** Would the telemetry bench notice metrics that take their time? A build whose histograms do must fail the gate. */
import { gate, heading, judge } from './lib/report.ts';
import { median } from './lib/stats.ts';
import { contest, METRICS_MOST, QUICK, told } from './telemetry.ts';

export async function run(): Promise<boolean> {
  heading('a build that spends 2 us on each observation of a histogram, against one without metrics');
  const gates = [];
  for (const calls of ['unary', 'session'] as const) {
    const all = await contest(calls, { how: 'burdened' }, { how: 'unmeasured' }, QUICK);
    gates.push(gate(`${calls}: the gate of metrics catches it`, median(all) > METRICS_MOST, told(all)));
  }
  return judge(gates);
}
