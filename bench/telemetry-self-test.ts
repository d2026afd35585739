/** Would the telemetry bench notice metrics that take their time? A build whose histograms do must fail the gate. */
import { gate, heading, judge } from './lib/report.ts';
import { contest, gatesOf, METRICS_MOST, QUICK } from './telemetry.ts';

export async function run(): Promise<boolean> {
  heading('a build that spends 2 us on each observation of a histogram, against one without metrics');
  const gates = [];
  for (const calls of ['unary', 'session'] as const) {
    const all = await contest(calls, { how: 'burdened' }, { how: 'unmeasured' }, QUICK);
    for (const { name, passed, detail } of gatesOf(
      `${calls}: the gate of metrics catches it`,
      all,
      METRICS_MOST,
    )) {
      gates.push(gate(name, !passed, detail));
    }
  }
  return judge(gates);
}
