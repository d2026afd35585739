/** Lets the subjects take turns at one contended lock each, and reads the counters at the edges of every window. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './children.ts';
import type { Contend, Contended } from './handoff-client.ts';
import { nowMicros, type Slice, tally } from './handoff-stats.ts';
import type { Reading, Subject } from './handoff-subjects.ts';
import { say } from './report.ts';
import { sum } from './stats.ts';

export const PROCESSES = 4;
export const CLIENTS_EACH = 8;
export const CLIENTS = PROCESSES * CLIENTS_EACH;

export type ClientChild = Child<Contend, Contended>;

export interface Pace {
  readonly rounds: number;
  /** Subjects that no ratio is made of sit out the later rounds. */
  readonly roundsOfOthers: number;
  readonly windowMs: number;
  /** Before the window, so that the line is there and the first come are not counted. */
  readonly settleMs: number;
}

export const FULL: Pace = { rounds: 6, roundsOfOthers: 3, windowMs: 3000, settleMs: 700 };
export const QUICK: Pace = { rounds: 2, roundsOfOthers: 1, windowMs: 1500, settleMs: 500 };
export const WARM_UP: Pace = { rounds: 1, roundsOfOthers: 1, windowMs: 2000, settleMs: 100 };

/** Long enough for a question to reach the other processes, and for the counters to be read before anybody stops. */
const NOTICE_MS = 50;
const IDLE_MS = 4000;

const until = (micros: number): Promise<void> => sleep(Math.max(0, (micros - nowMicros()) / 1000));

interface Timed extends Reading {
  readonly atMicros: number;
}

/** The moment is the middle of the reading, which takes a millisecond or two. */
async function readAt(subject: Subject): Promise<Timed> {
  const beforeMicros = nowMicros();
  const reading = await subject.read();
  return { ...reading, atMicros: (beforeMicros + nowMicros()) / 2 };
}

export async function startClients(): Promise<ClientChild[]> {
  const clients = Array.from(
    { length: PROCESSES },
    (_, index): ClientChild =>
      new Child('handoff-client.ts', {}, [`${index * CLIENTS_EACH} ${CLIENTS_EACH}`]),
  );
  await Promise.all(clients.map((client) => client.answer()));
  return clients;
}

/** Scripts a second that the nodes of each subject are asked while nobody wants a lock: pings and sweeps. */
export async function idleRates(subjects: readonly Subject[]): Promise<ReadonlyMap<string, number>> {
  const before = await Promise.all(subjects.map(readAt));
  await sleep(IDLE_MS);
  const after = await Promise.all(subjects.map(readAt));
  return new Map(
    subjects.map(({ name }, at) => {
      const seconds = (after[at]!.atMicros - before[at]!.atMicros) / 1e6;
      return [name, (after[at]!.scripts - before[at]!.scripts) / seconds];
    }),
  );
}

export class Contests {
  readonly #clients: readonly ClientChild[];
  readonly #idle: ReadonlyMap<string, number>;
  #locks = 0;

  constructor(clients: readonly ClientChild[], idle: ReadonlyMap<string, number>) {
    this.#clients = clients;
    this.#idle = idle;
  }

  async slice(subject: Subject, holdMs: number, pace: Pace, round: number): Promise<Slice> {
    const lock = `bench/handoff/${++this.#locks}`;
    const fromMicros = nowMicros() + (NOTICE_MS + pace.settleMs) * 1000;
    const untilMicros = fromMicros + pace.windowMs * 1000;
    const answers = this.#clients.map((client, index) => {
      const stopMicros = untilMicros + NOTICE_MS * 1000;
      const whom = { kind: subject.kind, addresses: subject.addresses(index) };
      return client.ask({ ...whom, lock, holdMs, fromMicros, untilMicros, stopMicros });
    });
    await until(fromMicros);
    const before = await readAt(subject);
    await until(untilMicros);
    const after = await readAt(subject);
    const told = await Promise.all(answers);
    const window = { fromMicros: before.atMicros, untilMicros: after.atMicros };
    const unfinished = told.flatMap(({ unfinishedMs }) => unfinishedMs);
    const holds = told.flatMap((client) => client.holds);
    const counted = tally(holds, window, CLIENTS, unfinished);
    const failure = told.map((client) => client.failure).find((text) => text !== '');
    if (failure !== undefined && round === 0) say(`  ${subject.name}, one of its failures: ${failure}`);
    return {
      ...counted,
      round,
      scripts: after.scripts - before.scripts,
      idleScripts: (this.#idle.get(subject.name) ?? 0) * counted.seconds,
      serverMicros: after.serverMicros - before.serverMicros,
      replicaMicros: after.replicaMicros - before.replicaMicros,
      clientMicros: sum(told.map(({ cpuMicros }) => cpuMicros)),
      failures: sum(told.map(({ failures }) => failures)),
      unfinished: unfinished.length,
    };
  }

  /** There and back again, so that drift of the machine favours nobody; `main` take part in every round. */
  async rounds(
    subjects: readonly Subject[],
    main: ReadonlySet<string>,
    holdMs: number,
    pace: Pace,
  ): Promise<ReadonlyMap<string, readonly Slice[]>> {
    const slices = new Map<string, Slice[]>(subjects.map(({ name }) => [name, []]));
    for (let round = 0; round < pace.rounds; round += 1) {
      const order = round % 2 === 0 ? subjects : subjects.toReversed();
      for (const subject of order) {
        if (round >= pace.roundsOfOthers && !main.has(subject.name)) continue;
        slices.get(subject.name)!.push(await this.slice(subject, holdMs, pace, round));
      }
    }
    return slices;
  }
}
