/** The client processes of a run: started, stopped, killed and replaced, and what they have written down. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Fault } from '../harness/history/history.ts';
import { nowMs, pause } from '../harness/pace.ts';
import { type Line, Program, PYTHON, PYTHON_ENV, withoutPython } from '../harness/program.ts';
import type { Environment } from '../harness/replica.ts';
import type { Dice } from '../sim/dice.ts';
import { readJournal } from './journal.ts';
import type { Orders } from './orders.ts';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
/** A wait that is given up and a lease that is released where nobody answers both end sooner. */
const END_MS = 20_000;

export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export const meet = (one: Span, other: Span): boolean =>
  one.fromMs < other.untilMs && other.fromMs < one.untilMs;

interface Member {
  readonly program: Program;
  readonly orders: Orders;
  readonly bornMs: number;
  /** The time before it was killed. */
  diedMs?: number;
  readonly stopped: { fromMs: number; untilMs: number }[];
}

export type Duties = Omit<Orders, 'name' | 'seed' | 'journal'>;

export class Fleet {
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-torture-'));
  readonly #duties: (slot: number) => Duties;
  readonly #dice: Dice;
  readonly #pythons: number;
  readonly #env: Environment;
  /** Who lives, by slot. */
  readonly #slots: Member[] = [];
  readonly #all: Member[] = [];

  /** The first `pythons` of them use the Python client, where Python can run. */
  constructor(duties: (slot: number) => Duties, dice: Dice, pythons: number, env: Environment) {
    this.#duties = duties;
    this.#env = env;
    this.#dice = dice;
    this.#pythons = withoutPython === '' ? pythons : 0;
  }

  async start(slots: number): Promise<void> {
    for (let slot = 0; slot < slots; slot += 1) this.#spawn(slot);
    await this.#say('works');
  }

  async stop(slot: number, forMs: number, signal: AbortSignal): Promise<void> {
    const { program, stopped } = this.#slots[slot]!;
    const span = { fromMs: nowMs(), untilMs: Number.POSITIVE_INFINITY };
    stopped.push(span);
    program.signal('SIGSTOP');
    await pause(forMs, signal);
    if (!program.over) program.signal('SIGCONT');
    span.untilMs = nowMs();
  }

  /** Another one takes its place. */
  async kill(slot: number): Promise<void> {
    const member = this.#slots[slot]!;
    member.diedMs = nowMs();
    await member.program.stopped('SIGKILL');
    this.#spawn(slot);
  }

  /** From now on none of them blocks itself; resolves when those that do are through. */
  async heal(): Promise<void> {
    // Earlier they would die of the signal.
    await this.#say('works');
    for (const { program } of this.#slots) program.signal('SIGUSR2');
    await this.#say('healed');
  }

  /** All let go of what they hold, and end; what was wrong with those who did not. */
  async finish(): Promise<string[]> {
    for (const { program } of this.#slots) program.signal('SIGTERM');
    const faults = await Promise.all(
      this.#slots.map(async ({ program, orders }) => {
        const how = await program.ended(END_MS).catch((error: unknown) => String(error));
        return how === 0 ? [] : [`client ${orders.name} ended with ${how}: ${program.err.slice(-1000)}`];
      }),
    );
    return faults.flat();
  }

  /** What all of them did. */
  read() {
    const told = this.#all.map((member) => ({
      ...readJournal(member.orders.journal, member.diedMs),
      stopped: member.stopped,
    }));
    const blocked = told.flatMap(({ stalls }) =>
      stalls
        .filter(({ meant }) => meant)
        .map(({ fromMs, untilMs }): Fault => {
          return { kind: 'fault', name: 'client blocked', where: 'client', atMs: fromMs, untilMs };
        }),
    );
    const entries = [...told.flatMap((one) => one.entries), ...blocked];
    // What the run wanted is no fault of the machine.
    const late = told.flatMap(({ stalls, stopped }) => {
      const meant: Span[] = [...stalls.filter((stall) => stall.meant), ...stopped];
      return stalls.filter((stall) => !stall.meant && !meant.some((one) => meet(one, stall)));
    });
    const livedMs = this.#all.reduce((sum, { bornMs, diedMs }) => sum + (diedMs ?? nowMs()) - bornMs, 0);
    return { entries, late, livedMs };
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map(({ program }) => program.stopped('SIGKILL')));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Resolves when each of them has. */
  async #say(event: string): Promise<void> {
    const said = (line: Line): boolean => line.event === event;
    await Promise.all(this.#slots.map(({ program }) => program.says(event, said)));
  }

  #spawn(slot: number): void {
    const name = `c${this.#all.length + 1}`;
    const orders: Orders = {
      ...this.#duties(slot),
      name,
      seed: this.#dice.seed(),
      journal: join(this.#directory, `${name}.jsonl`),
    };
    // It may be killed before it has opened it.
    writeFileSync(orders.journal, '');
    const told = JSON.stringify(orders);
    const program =
      slot < this.#pythons
        ? new Program([PYTHON, file('client.py'), told], PYTHON_ENV)
        : new Program([process.execPath, file('client.ts'), told], this.#env);
    const member = { program, orders, bornMs: nowMs(), stopped: [] };
    this.#slots[slot] = member;
    this.#all.push(member);
  }
}
