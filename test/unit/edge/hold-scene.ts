/** A Hold over locks and a call that the test plays. */
import { holdHandler } from '../../../src/edge/hold-calls.ts';
import type { Busy, Granted } from '../../../src/locks/locks.ts';
import type { FakeKept } from './fake-locks.ts';
import { contract, FakeStream, received, StreamScene, turn } from './stream-scene.ts';

export const acquire = { resources: ['gpu/0'], owner: 'w1' };

export class HoldScene extends StreamScene {
  open(request: object = { acquire }, leftMs = Infinity): FakeStream {
    const { Hold } = contract.locks;
    const deadlineMs = leftMs === Infinity ? Infinity : this.deadlineIn(leftMs);
    const stream = new FakeStream(Hold, received(Hold, request), deadlineMs);
    this.serve(stream);
    return stream;
  }

  serve(stream: FakeStream): void {
    holdHandler(this.context).Hold(stream as never);
  }

  /** Standing, with its lease. */
  async held(
    request: object = { acquire },
    leftMs = Infinity,
  ): Promise<{ stream: FakeStream; kept: FakeKept }> {
    const stream = this.open(request, leftMs);
    await turn();
    return { stream, kept: this.locks.kept.at(-1)! };
  }

  /** Waiting; the result answers it. */
  waiting(request: object = { acquire }): {
    stream: FakeStream;
    answer: (answer: Granted | Busy) => Promise<void>;
  } {
    const { promise, resolve } = Promise.withResolvers<Granted | Busy>();
    this.locks.onHold = () => promise;
    this.locks.onResume = () => promise as Promise<Granted>;
    const stream = this.open(request);
    return {
      stream,
      answer: (answer) => {
        resolve(answer);
        return turn();
      },
    };
  }

  grant(): FakeKept {
    const { ask, news } = this.locks.holds.at(-1)!;
    return this.locks.keep(this.locks.grant(ask), news);
  }
}

/** The kinds of all that was told, in order. */
export const events = (stream: FakeStream): string[] => stream.said.map(({ event }) => String(event));
