/** Counts what is written to a stream and what of it has left, to tell a reader that takes nothing from a slow one. */

/** What is asked of a stream of grpc-js. */
export interface WritableCall<Message> {
  write(message: Message, done: (error?: Error | null) => void): boolean;
}

export interface Writer {
  /** A message has left. */
  onLeft(): void;
}

export class Writes<Message> {
  readonly #call: WritableCall<Message>;
  readonly #writer: Writer;
  #written = 0;
  #left = 0;

  constructor(call: WritableCall<Message>, writer: Writer) {
    this.#call = call;
    this.#writer = writer;
  }

  /** Messages that have not left yet. */
  get underWay(): number {
    return this.#written - this.#left;
  }

  write(message: Message): void {
    this.#written += 1;
    this.#call.write(message, this.#done);
  }

  /** The number of the next message that is to leave. */
  mark(): number {
    return this.#left + 1;
  }

  /** Whether that message has not left, be it written or not. */
  awaits(mark: number): boolean {
    return this.#left < mark;
  }

  /** Whether that message was written and has not left. */
  stuck(mark: number): boolean {
    return this.#left < mark && this.#written >= mark;
  }

  readonly #done = (error?: Error | null): void => {
    // With an error the stream is over, which others tell.
    if (error) return;
    this.#left += 1;
    this.#writer.onLeft();
  };
}
