/** Would the session bench notice a slow build? One that sends each operation by itself must fail counts and ratio. */
import { gate, heading, judge, say } from './lib/report.ts';
import { countGates } from './lib/session-counts.ts';
import { SessionStage, sideOf } from './lib/session-stage.ts';
import { DIRECT, QUICK, ratioGate } from './session.ts';

const IN_FLIGHT = 64;

export async function run(): Promise<boolean> {
  heading('a Session on a build that sends one EVALSHA for each operation');
  const stage = new SessionStage();
  try {
    const servers = await stage.nodes(3);
    const slowed = await stage.holdfast('the slowed build', servers, 'slowed');
    const redlock = await stage.redlock('redlock 5.0.0-beta.2', servers, 'redlock');
    for (const subject of [slowed, redlock]) await sideOf(subject, IN_FLIGHT)(QUICK.warmUpMs);
    const counts = await countGates(slowed, servers, IN_FLIGHT);
    const { gates } = await ratioGate(slowed, { subject: redlock, target: DIRECT }, IN_FLIGHT, QUICK);
    say('  what the gates said of it:');
    judge([...counts, ...gates]);
    const caught = counts.filter(({ passed }) => !passed).map(({ name }) => name);
    return judge([
      gate('the count gates catch it', caught.length > 0, caught.join(', ') || 'no gate failed'),
      gate(
        'the ratio gate catches it',
        gates.some(({ passed }) => !passed),
        gates[0]!.detail,
      ),
    ]);
  } finally {
    await stage.stop();
  }
}
