/** A session over locks and a call that the test plays: what is asked, and what its client reads. */
import type { SessionOp } from '../../../src/edge/gen/holdfast/v1/SessionOp.ts';
import { sessionHandler } from '../../../src/edge/session-calls.ts';
import type { Busy, Granted } from '../../../src/locks/locks.ts';
import type { FakeKept } from './fake-locks.ts';
import { contract, FakeStream, received, StreamScene, turn } from './stream-scene.ts';

const METHOD = contract.locks.Session;

interface Said {
  readonly results: readonly (Record<string, unknown> & { seq: string; result: string })[];
  readonly events: readonly (Record<string, unknown> & { seq: string; event: string; lease_id: string })[];
}

export const acquire = (seq: number | string, more: object = {}): SessionOp => ({
  seq,
  acquire: { resources: [`gpu/${seq}`], owner: 'w1', ...more },
});

export class SessionScene extends StreamScene {
  readonly stream: FakeStream;

  constructor(leftMs = Infinity, draining = false) {
    super();
    this.draining = draining;
    this.stream = new FakeStream(METHOD, undefined, leftMs === Infinity ? Infinity : this.deadlineIn(leftMs));
    sessionHandler(this.context).Session(this.stream as never);
  }

  /** One message, without a turn of the loop. */
  send(...ops: SessionOp[]): void {
    this.message({ ops });
  }

  message(request: object): void {
    this.stream.emit('data', received(METHOD, request));
  }

  /** One message, and whatever it brings. */
  async ask(...ops: SessionOp[]): Promise<void> {
    this.send(...ops);
    await turn();
  }

  /** The lease of one acquire. */
  async held(seq: number, more: object = {}): Promise<FakeKept> {
    await this.ask(acquire(seq, more));
    return this.locks.kept.at(-1)!;
  }

  /** From now on acquires and resumes wait for the result to answer them, in their order. */
  waits(): { answer: (answer: Granted | Busy | Error) => Promise<void> } {
    const waiting: PromiseWithResolvers<Granted | Busy>[] = [];
    const wait = (): Promise<never> => {
      const one = Promise.withResolvers<Granted | Busy>();
      waiting.push(one);
      return one.promise as Promise<never>;
    };
    this.locks.onHold = wait;
    this.locks.onResume = wait;
    return {
      answer: (answer) => {
        const one = waiting.shift()!;
        if (answer instanceof Error) one.reject(answer);
        else one.resolve(answer);
        return turn();
      },
    };
  }

  /** The lease that the locks would grant to the acquire that came as number `at`. */
  grant(at = -1): FakeKept {
    const { ask, news } = this.locks.holds.at(at)!;
    return this.locks.keep(this.locks.grant(ask), news);
  }

  get messages(): Said[] {
    return this.stream.said as never;
  }

  get results(): Said['results'] {
    return this.messages.flatMap(({ results }) => results);
  }

  get events(): Said['events'] {
    return this.messages.flatMap(({ events }) => events);
  }

  result(seq: number | string): Record<string, unknown> | undefined {
    const found = this.results.filter((one) => one.seq === String(seq));
    if (found.length > 1) throw new Error(`${seq} was answered ${found.length} times`);
    return found[0];
  }

  /** `1 acquire`, `2 error QUOTA`: all results, in their order. */
  get outcomes(): string[] {
    return this.results.map(({ seq, result, error }) => {
      const { code, reason } = (error ?? {}) as { code?: number; reason?: string };
      return result === 'error' ? `${seq} error ${reason === '' ? code : reason}` : `${seq} ${result}`;
    });
  }

  get fields(): string[] {
    return this.stream.refusal.details.BadRequest!.field_violations.map(({ field }) => field);
  }
}
