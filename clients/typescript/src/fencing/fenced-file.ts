/** A file that only the newest lease can publish: whole, or not at all, and never late. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { carryOut, codeOf } from './disk.ts';
import { checkToken, FencingError, PublishError, StaleTokenError } from './errors.ts';
import { type Places, partName, placesOf } from './names.ts';
import {
  claiming,
  clearing,
  type Draft,
  discarding,
  finding,
  publishing,
  type Steps,
  sweeping,
} from './steps.ts';

/** A file that has been published. */
export interface PublishedFile {
  readonly path: string;
  /** The token of the lease that published it; undefined if it came there in another way, or was changed since. */
  readonly token: bigint | undefined;
}

export interface PublishOptions {
  /** True: takes the place of what is there. False, the default: never overwrites. */
  readonly replace?: boolean;
}

/**
 * A claim to publish one path under a lease. As soon as `claim` has resolved for a token, no older one can publish that
 * path any more, wherever its process is paused; nobody waits for anybody and no file lock is held.
 *
 * Local file systems, and others that show a new name at once to all who list a folder; one lock name for each path.
 */
export class FencedFile {
  readonly path: string;
  readonly token: bigint;
  /** Where to write: an empty file, on the same file system, with the extension of `path`. */
  readonly temporaryPath: string;
  readonly #places: Places;
  readonly #draft: Draft;

  private constructor(places: Places, draft: Draft) {
    this.path = places.path;
    this.token = draft.token;
    this.temporaryPath = join(places.folder, draft.part);
    this.#places = places;
    this.#draft = draft;
  }

  /**
   * Claims `path` for the lease with this token, and removes what older ones have left. The folder of `path` must exist.
   * The same token may claim again. Throws StaleTokenError if a newer token has claimed it, PublishError if the disk
   * refuses.
   */
  static async claim(path: string, token: bigint): Promise<FencedFile> {
    checkToken(token);
    const places = placesOf(path);
    const nonce = randomBytes(6).toString('hex');
    const draft = { token, nonce, part: partName(token, nonce, places.path) };
    const file = new FencedFile(places, draft);
    const newer = await file.#guarded(claiming(draft));
    if (newer !== undefined) throw new StaleTokenError(places.path, token, newer);
    return file;
  }

  /**
   * Puts the temporary file, synced to the disk, at `path`. True if it is there now; false if another file was there and
   * is kept. Throws StaleTokenError if a newer token has claimed the path, PublishError if the disk refuses; in every
   * case but success the temporary file is gone and `path` is as it was.
   */
  async publish({ replace = false }: PublishOptions = {}): Promise<boolean> {
    const verdict = await this.#guarded(publishing(this.#draft, replace));
    if (verdict.kind === 'stale') throw new StaleTokenError(this.path, this.token, verdict.current);
    if (verdict.kind === 'gone') throw new PublishError(this.path, `${this.temporaryPath} has vanished`);
    // What cannot be cleared is no failure of what is published; the next one clears it.
    await carryOut(this.#places, clearing(this.#draft)).catch(() => undefined);
    return verdict.kind === 'published';
  }

  /** Removes the temporary file. The claim stands: older tokens stay shut out. May be called again. */
  async discard(): Promise<void> {
    await carryOut(this.#places, discarding(this.#draft));
  }

  async #guarded<Result>(steps: Steps<Result>): Promise<Result> {
    try {
      return await carryOut(this.#places, steps);
    } catch (error) {
      await this.discard().catch(() => undefined);
      throw publishError(this.path, error);
    }
  }
}

/** What is published at `path`, and by which token; undefined if nothing is. Changes nothing. */
export async function publishedFile(path: string): Promise<PublishedFile | undefined> {
  const places = placesOf(path);
  const found = await carryOut(places, finding());
  return found && { path: places.path, token: found.token };
}

/** As `publishedFile`; also removes what writers that were killed have left beside it. */
export async function settledFile(path: string): Promise<PublishedFile | undefined> {
  const places = placesOf(path);
  const found = await carryOut(places, finding());
  // Who may read but not write there can still use the file.
  if (found !== undefined) await carryOut(places, sweeping(found)).catch(() => undefined);
  return found && { path: places.path, token: found.token };
}

const DISK_FULL: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'it is larger than a file may be',
};

/** The error of a disk that has no room, or undefined: what a writer's own failure may be. */
export function diskFull(path: string, error: unknown): PublishError | undefined {
  const why = DISK_FULL[codeOf(error) ?? ''];
  return why === undefined ? undefined : new PublishError(path, why, error);
}

function publishError(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof FencingError || code === undefined) return error;
  return diskFull(path, error) ?? new PublishError(path, (error as Error).message, error);
}
