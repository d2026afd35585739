/** Child processes that answer one question after the other, and never outlive whoever started them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

type Environment = Readonly<Record<string, string>>;

/** Settings of the shell must not reach what is measured. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|OTEL|NODE)_/.test(name)),
  );
}

export class Child<Question extends object, Answer> {
  readonly #process: ChildProcess;
  #answered: (answer: Answer) => void = () => {};
  #failed: (error: Error) => void = () => {};
  #answer: Promise<Answer>;

  /** `file` is beside this one. */
  constructor(file: string, env: Environment = {}, args: readonly string[] = []) {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    this.#process = fork(path, args, { env: { ...cleanEnvironment(), ...env }, stdio: [...stdio] });
    this.#answer = this.#next();
    this.#process.on('message', (answer) => this.#answered(answer as Answer));
    this.#process.on('exit', (code) =>
      this.#failed(new Error(`a child of the benchmark ended with ${code}`)),
    );
  }

  /** The first answer comes unasked, when the child is ready. */
  answer(): Promise<Answer> {
    return this.#answer;
  }

  ask(question: Question): Promise<Answer> {
    this.#answer = this.#next();
    this.#process.send(question);
    return this.#answer;
  }

  #next(): Promise<Answer> {
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
    // Whoever waits for it hears of a failure; when nobody does, the child was stopped.
    answer.catch(() => {});
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** The child's side: says `first`, then answers until the parent is gone. */
export function serveParent<Question extends object, Answer>(
  first: Answer,
  answer: (question: Question) => Promise<Answer> | Answer,
): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (question: Question) => {
    Promise.resolve(answer(question)).then(
      (said) => process.send!(said as object),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  });
  process.send!(first as object);
}
