/** The signals of `holdfast run`: before the command runs they end the wait, from then on they are the command's. */
import { codeOfSignal, type Group } from './group.ts';

/** Each of them ends a process that does not mind it. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** These have no meaning before there is a command. */
const PASSING = ['SIGWINCH', 'SIGCONT'] as const;

export class Signals {
  readonly #stop = new AbortController();
  readonly #heard: [NodeJS.Signals, () => void][] = [];
  #first: NodeJS.Signals | undefined;
  #group: Group | undefined;

  constructor() {
    for (const signal of ENDING) this.#hear(signal, () => this.#end(signal));
  }

  /** Aborted by the first signal that comes before there is a command. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** The exit code by which such a signal ends `run`; undefined: none came. */
  get code(): number | undefined {
    return this.#first === undefined ? undefined : codeOfSignal(this.#first);
  }

  /** From here on all signals are for the command's group. */
  forwardTo(group: Group): void {
    this.#group = group;
    for (const signal of PASSING) this.#hear(signal, () => void group.signal(signal));
    this.#hear('SIGTSTP', () => {
      // A group without a terminal cannot be stopped by TSTP, so it gets the signal that always works.
      group.signal('SIGSTOP');
      process.kill(process.pid, 'SIGSTOP');
    });
  }

  close(): void {
    for (const [signal, act] of this.#heard.splice(0)) process.off(signal, act);
  }

  #end(signal: NodeJS.Signals): void {
    if (this.#group !== undefined) {
      this.#group.signal(signal);
      return;
    }
    this.#first ??= signal;
    this.#stop.abort();
  }

  #hear(signal: NodeJS.Signals, act: () => void): void {
    process.on(signal, act);
    this.#heard.push([signal, act]);
  }
}
