/**
 * The janitor's post: a lock of our own, held by whichever replica does the work, so that one at a time does.
 *
 * Kept as any stream keeps its lease: renewed while the replica lives, free within its ttl when it is killed. Its name
 * is in no tenant's, and no caller can say it. Whoever was asked by hand to mend waits for it with the highest priority;
 * the one that has it is told so, and gives it up between two pages. What it guards is work that is safe whoever does it
 * (locks/remains.ts): two janitors for the moment in which a paused one wakes would cost time and nothing else.
 */
import type { AcquireAsk, Kept, Locks } from '../../locks/locks.ts';

export const POST = '~/janitor';

export interface PostOptions {
  readonly locks: Pick<Locks, 'hold'>;
  readonly owner: string;
  readonly ttlMs: number;
  /** It is not ours any more, without our doing. */
  readonly onLost: () => void;
}

export interface Post {
  readonly ours: boolean;
  /** Somebody else asks for it. */
  readonly wanted: boolean;
  take(waitMs: number): Promise<boolean>;
  leave(): void;
}

/** For the embedded store: there is no other replica. */
export const onlyPost: Post = { ours: true, wanted: false, take: async () => true, leave: () => {} };

export class LockedPost implements Post {
  readonly #options: PostOptions;
  #kept: Kept | undefined;
  #wanted = false;
  #takes = 0;
  #closed = false;
  #gone: (() => void) | undefined;

  constructor(options: PostOptions) {
    this.#options = options;
  }

  get ours(): boolean {
    return this.#kept !== undefined;
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  async take(waitMs: number): Promise<boolean> {
    if (this.#kept !== undefined) return true;
    const caller = {
      principal: '',
      gone: () => this.#closed,
      whenGone: (act: () => void) => {
        this.#gone = act;
        return () => {
          this.#gone = undefined;
        };
      },
    };
    const answer = await this.#options.locks.hold(this.#ask(waitMs), caller, {
      renewed: () => {},
      lost: () => this.#lost(),
      yieldRequested: () => {
        this.#wanted = true;
      },
    });
    if (answer.kind !== 'granted') return false;
    this.#kept = answer.kept;
    this.#wanted = false;
    if (this.#closed) this.leave();
    return this.ours;
  }

  leave(): void {
    const kept = this.#kept;
    this.#kept = undefined;
    this.#wanted = false;
    kept?.end('closed', 0);
  }

  /** Leaves, and takes it no more. */
  close(): void {
    this.#closed = true;
    this.#gone?.();
    this.leave();
  }

  #lost(): void {
    if (this.#kept === undefined) return;
    this.#kept = undefined;
    this.#options.onLost();
  }

  #ask(waitMs: number): AcquireAsk {
    const { owner, ttlMs } = this.#options;
    this.#takes += 1;
    return {
      resources: [POST],
      // Another one each time: an owner that waits for what it holds itself is a deadlock.
      owner: `${owner}/${this.#takes}`,
      ttlMs,
      waitMs,
      mode: 'exclusive',
      any: 0,
      // Only who was asked by hand waits, and only who waits is given way to.
      priority: waitMs > 0 ? 1 : 0,
      requestId: '',
      labels: {},
    };
  }
}
