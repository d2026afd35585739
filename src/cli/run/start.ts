/** One run of a command under a lease: waits for it, starts the command behind its guard, and gives the lease back. */
import { status } from '@grpc/grpc-js';
import { inheritedEnvironment } from '../../config/client.ts';
import { type Clock, pause, systemClock } from '../../std/clock.ts';
import {
  BusyError,
  Holdfast,
  HoldfastError,
  InvalidFieldError,
  type Lease,
  UnavailableError,
} from '../client.ts';
import type { Io } from '../command.ts';
import { credentialsOf } from '../credentials.ts';
import { exit, exitCodeOf } from '../exit.ts';
import { plain } from '../format.ts';
import { CANNOT_RUN, cannotStart, Group, NOT_FOUND } from './group.ts';
import { Guardian } from './guardian.ts';
import type { Plan } from './plan.ts';
import { Signals } from './signals.ts';
import { type Outcome, Supervisor } from './supervisor.ts';
import { variablesOf } from './variables.ts';
import { holderText, WaitingLine } from './waiting.ts';

/** So long at most the end of the command waits for the service to take the lease back. */
const GIVE_BACK_MS = 5000;
const USUAL_COLUMNS = 80;

/** What a run works with. */
interface Desk {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly say: (text: string) => void;
  readonly write: (text: string) => void;
}

/** The exit code. */
export async function start(plan: Plan, io: Io): Promise<number> {
  const say = (text: string): void => io.err(`holdfast run: ${plain(text)}\n`);
  const [name = ''] = plan.command;
  const unable = cannotStart(name, inheritedEnvironment().PATH ?? '');
  if (unable !== undefined) {
    say(`${name}: ${unable === NOT_FOUND ? 'not found' : 'cannot be run'}`);
    return unable;
  }
  const signals = new Signals();
  const desk: Desk = { plan, clock: systemClock, signals, say, write: io.err };
  const { addresses, caller, owner, terms } = plan;
  const service = new Holdfast({
    addresses,
    owner,
    ttl: terms.ttlMs,
    grace: terms.graceMs,
    ...credentialsOf(caller),
  });
  try {
    await reachable(service, desk);
    const lease = await granted(service, desk);
    return await underLease(lease, desk);
  } catch (error) {
    // What the signal broke off ends with an error of its own.
    if (signals.code !== undefined) return signals.code;
    if (error instanceof HoldfastError) return refused(error, say);
    throw error;
  } finally {
    await service.close();
    signals.close();
  }
}

/** A wait without limit looks for a replica without limit, too: whoever names a wrong address should hear of it. */
async function reachable(service: Holdfast, { plan, signals }: Desk): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    signals.stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const asked = service.inspect(plan.resources[0] ?? '').catch((error: unknown) => {
    if (error instanceof UnavailableError) throw error;
    // Any other answer is one; what matters of it the lock will say, too.
  });
  await Promise.race([asked, stopped]);
}

async function granted(service: Holdfast, { plan, clock, signals, write }: Desk): Promise<Lease> {
  const { resources, mode, any, priority, labels, maxWaitMs, isQuiet } = plan;
  const { isTTY, columns } = process.stderr;
  // A terminal that was never told its size says 0.
  const screen = { write, isTerminal: isTTY === true, columns: columns || USUAL_COLUMNS };
  const line = new WaitingLine(resources, screen, clock);
  try {
    return await service.hold(resources, {
      mode,
      any,
      priority,
      labels,
      signal: signals.stop,
      ...(maxWaitMs === undefined ? {} : { wait: maxWaitMs }),
      ...(isQuiet ? {} : { onQueued: (queue) => line.show(queue) }),
    });
  } finally {
    line.end();
  }
}

/** The exit code; whatever happens, the lease is given back and nothing of the command runs on. */
async function underLease(lease: Lease, desk: Desk): Promise<number> {
  const { signals, say } = desk;
  let reason = 'the command did not start';
  try {
    if (signals.code !== undefined) return signals.code;
    const outcome = await commanded(lease, desk);
    if (outcome === undefined) return signals.code ?? CANNOT_RUN;
    reason = `exit code ${outcome.code}`;
    if (!outcome.lost) return outcome.code;
    say(`lease lost: the command was ended (its own exit code: ${outcome.code})`);
    return exit.leaseLost;
  } finally {
    await givenBack(lease, reason, desk);
  }
}

/** Undefined: the command never began, because of a signal or because no process could be had. */
async function commanded(lease: Lease, { plan, clock, signals, say }: Desk): Promise<Outcome | undefined> {
  const { command, templates, showsCards, terms, addresses } = plan;
  const env = { ...inheritedEnvironment(), ...variablesOf(lease, templates, showsCards) };
  let group: Group | undefined;
  try {
    group = await Group.behindGate(command, env);
    const charge = { group: group.id, leaseId: lease.leaseId, addresses };
    const guardian = await Guardian.armed(charge);
    const supervisor = new Supervisor({ lease, group, guardian, charge, terms, clock, say });
    if (signals.code !== undefined) return await supervisor.refuse();
    signals.forwardTo(group);
    return await supervisor.run();
  } catch (error) {
    group?.signal('SIGKILL');
    say(`${command[0]} cannot be started: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function givenBack(lease: Lease, reason: string, { clock, say }: Desk): Promise<void> {
  // Nothing is left to give back, or it gives itself back before the service could.
  if (lease.lost !== undefined) return;
  const patienceMs = Math.min(GIVE_BACK_MS, lease.remainingMs);
  const released = lease.release(reason).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  const tooLong = pause(clock, patienceMs).then(() => 'no answer in time');
  const trouble = await Promise.race([released, tooLong]);
  if (trouble !== undefined) say(`the release was not confirmed, the lease ends by its ttl: ${trouble}`);
}

function refused(error: HoldfastError, say: (text: string) => void): number {
  if (error instanceof BusyError) {
    const nowMs = systemClock.wallMicros() / 1000;
    for (const holder of error.holders) say(`BUSY: ${holderText(holder, nowMs)}`);
    if (error.holders.length === 0) say('BUSY: others stand ahead in line');
    if (error.position > 0) say(`the wait is over, at place ${error.position} in line`);
    return exit.busy;
  }
  const name = status[error.code] ?? 'UNKNOWN';
  say(`${error.reason || name}: ${error.message}`);
  if (error instanceof InvalidFieldError)
    for (const { field, description } of error.fields) say(`  ${field}: ${description}`);
  return exitCodeOf(error.reason, name);
}
