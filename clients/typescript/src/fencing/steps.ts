/**
 * How a file is fenced: claims, publications and clean-ups as sequences of single file operations, pure, so that a test
 * can run every interleaving of them. No step waits for anybody, whoever is paused where.
 *
 * Why it holds. A claim makes its fence and THEN lists and removes the files of older tokens. A publication makes its
 * `ready` file and THEN lists the fences. Whoever comes second sees the first: either the publication finds the newer
 * fence and stops, or the claim removes the `ready` file and the publication finds it gone. Listing a folder is not
 * atomic, it only shows for certain what was there all the time; therefore a fence is removed only after a newer one was
 * seen and after that all older files were removed: a publication that misses both fences has no file any more.
 */
import { fenceOf, fencesIn, fileOf, newestIn, readyName } from './names.ts';

/** One file operation. Names are those in the folder; `mark` tells one published file from every other. */
export type Step =
  /** Makes the folder and the fence, where they are missing. */
  | { readonly do: 'fence'; readonly token: bigint }
  /** The names in the folder; none if there is no folder. */
  | { readonly do: 'list' }
  /** Makes an empty file that was not there. */
  | { readonly do: 'create'; readonly name: string }
  /** Removes it; it may be gone. */
  | { readonly do: 'remove'; readonly name: string }
  /** The mark of a file of the folder once it is on the disk; undefined if it is gone. */
  | { readonly do: 'settle'; readonly name: string }
  /** The mark of the published file, or of one in the folder; undefined if there is none. */
  | { readonly do: 'identify'; readonly name?: string }
  /** Adds a mark to a fence; false if the fence is gone. */
  | { readonly do: 'record'; readonly token: bigint; readonly mark: string }
  /** The marks of a fence; none if it is gone. */
  | { readonly do: 'marks'; readonly token: bigint }
  /** Renames within the folder; false if it is gone. */
  | { readonly do: 'move'; readonly from: string; readonly to: string }
  /** Gives it the published name too (`exists` if that is taken), or moves it there over what was there. */
  | { readonly do: 'link' | 'replace'; readonly name: string };

export type Placed = 'done' | 'exists' | 'gone';
export type Answer = undefined | boolean | string | readonly string[];
export type Steps<Result> = Generator<Step, Result, Answer>;

/** A file under way. */
export interface Draft {
  readonly token: bigint;
  readonly nonce: string;
  /** The name of what the writer fills. */
  readonly part: string;
}

export type Verdict =
  | { readonly kind: 'published' }
  /** Another file was published before, and is not overwritten. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'stale'; readonly current: bigint }
  /** Its file has vanished, and no newer claim has removed it. */
  | { readonly kind: 'gone' };

export interface Found {
  readonly mark: string;
  /** Undefined if the file was not published through a fence. */
  readonly token: bigint | undefined;
}

/** Claims the path: from the end of this on, no older token can publish. Undefined if done, else the newer token. */
export function* claiming(draft: Draft): Steps<bigint | undefined> {
  yield { do: 'fence', token: draft.token };
  const newest = newestIn(yield* list());
  if (newest > draft.token) {
    yield* tidying(newest);
    return newest;
  }
  yield* tidying(draft.token);
  yield { do: 'create', name: draft.part };
  return undefined;
}

/** Publishes what the writer has filled, unless a newer token has claimed the path. */
export function* publishing(draft: Draft, replace: boolean): Steps<Verdict> {
  const ready = readyName(draft.token, draft.nonce);
  const mark = (yield { do: 'settle', name: draft.part }) as string | undefined;
  if (mark === undefined) return yield* vanished(draft);
  // Before it is published: so whoever can see the file can tell its token.
  if (!(yield { do: 'record', token: draft.token, mark })) return yield* vanished(draft);
  if (!(yield { do: 'move', from: draft.part, to: ready })) return yield* vanished(draft);
  if (newestIn(yield* list()) > draft.token) return yield* vanished(draft);
  const placed = (yield { do: replace ? 'replace' : 'link', name: ready }) as Placed;
  if (placed === 'gone') return yield* vanished(draft);
  return { kind: placed === 'done' ? 'published' : 'exists' };
}

/** What is left to do once it is decided: removes the second name of a link, and what older tokens have left. */
export function* clearing(draft: Draft): Steps<void> {
  yield { do: 'remove', name: readyName(draft.token, draft.nonce) };
  yield* tidying(draft.token);
}

/** Removes what a writer has made so far. */
export function* discarding(draft: Draft): Steps<void> {
  yield { do: 'remove', name: draft.part };
  yield { do: 'remove', name: readyName(draft.token, draft.nonce) };
}

/** Which token has published the file; undefined if there is no file. */
export function* finding(): Steps<Found | undefined> {
  for (;;) {
    const mark = yield* identify();
    if (mark === undefined) return undefined;
    for (const token of fencesIn(yield* list())) {
      if ((yield* marks(token)).includes(mark)) return { mark, token };
    }
    // Replaced while we looked: its fence may have gone with it.
    if ((yield* identify()) === mark) return { mark, token: undefined };
  }
}

/** Removes what killed writers have left beside a published file. Nobody who may still publish is disturbed. */
export function* sweeping({ mark, token }: Found): Steps<void> {
  const names = yield* list();
  const newest = newestIn(names);
  const left = (name: string): boolean => (fileOf(name) ?? fenceOf(name) ?? newest) < newest;
  if (names.filter(left).some((name) => fenceOf(name) === undefined || fenceOf(name) !== token)) {
    yield* tidying(newest);
  }
  // Killed between its link and the removal: the published file under a second name.
  for (const name of names) {
    if (token === undefined || fileOf(name) !== token) continue;
    if ((yield* identify(name)) === mark) yield { do: 'remove', name };
  }
}

/**
 * Removes the files of tokens older than `newest`, then their fences, except that of the published file, which tells its
 * token. Whoever has seen the fence of `newest` may do this in its place.
 */
function* tidying(newest: bigint): Steps<void> {
  // A list of its own: it has to begin after that fence was seen.
  const names = yield* list();
  for (const name of names) {
    if ((fileOf(name) ?? newest) < newest) yield { do: 'remove', name };
  }
  const old = fencesIn(names).filter((token) => token < newest);
  if (old.length === 0) return;
  const mark = yield* identify();
  for (const token of old) {
    if (mark === undefined || !(yield* marks(token)).includes(mark)) {
      yield { do: 'remove', name: String(token) };
    }
  }
}

function* vanished(draft: Draft): Steps<Verdict> {
  yield* discarding(draft);
  const current = newestIn(yield* list());
  if (current <= draft.token) return { kind: 'gone' };
  yield* tidying(current);
  return { kind: 'stale', current };
}

function* list(): Steps<readonly string[]> {
  return (yield { do: 'list' }) as readonly string[];
}

function* identify(name?: string): Steps<string | undefined> {
  return (yield { do: 'identify', ...(name === undefined ? {} : { name }) }) as string | undefined;
}

function* marks(token: bigint): Steps<readonly string[]> {
  return (yield { do: 'marks', token }) as readonly string[];
}
