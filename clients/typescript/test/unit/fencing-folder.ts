/** A folder in memory, whose listing is as weak as a real one: it shows for certain only what was there all the time. */
import {
  type Answer,
  claiming,
  type Draft,
  finding,
  type Step,
  type Steps,
  sweeping,
} from '../../src/fencing/steps.ts';

/** What a writer does between claim and publication: opens its file by name, as `open(path, 'w')` does, and fills it. */
export type Move = Step | { readonly do: 'write'; readonly name: string };
/** A listing under way shows what was there all the time, and of the rest whatever it pleases. */
interface Listing {
  readonly sure: readonly string[];
  readonly maybe: readonly string[];
}

export interface Folder {
  /** Contents by name; of a fence its marks. */
  readonly files: Readonly<Record<string, string>>;
  readonly path: string | undefined;
  readonly listings: Readonly<Record<number, Listing>>;
}

export const EMPTY: Folder = { files: {}, path: undefined, listings: {} };

export function draftOf(token: bigint, nonce = 'a'): Draft {
  return { token, nonce, part: `${token}.${nonce}.part` };
}

function changed(folder: Folder, files: Folder['files'], by: number): Folder {
  const listings: Record<number, Listing> = {};
  for (const [key, { sure, maybe }] of Object.entries(folder.listings)) {
    if (Number(key) === by) continue;
    const flickers = [...new Set([...Object.keys(folder.files), ...Object.keys(files)])].filter(
      (name) => name in folder.files !== name in files,
    );
    const stays = sure.filter((name) => !flickers.includes(name));
    listings[Number(key)] = { sure: stays, maybe: [...new Set([...maybe, ...flickers])].sort() };
  }
  return { ...folder, files, listings };
}

function without(files: Folder['files'], name: string): Folder['files'] {
  const { [name]: _, ...rest } = files;
  return rest;
}

function subsets(names: readonly string[]): string[][] {
  const [first, ...rest] = names;
  if (first === undefined) return [[]];
  return subsets(rest).flatMap((some) => [some, [first, ...some]]);
}

export type Outcome = readonly [Folder, Answer | 'listing'];

/** All that one move may lead to. */
export function outcomes(folder: Folder, by: number, move: Move): Outcome[] {
  const { files } = folder;
  const put = (next: Folder['files'], answer: Answer): Outcome => [changed(folder, next, by), answer];
  switch (move.do) {
    case 'fence':
      return [put({ [String(move.token)]: '', ...files }, undefined)];
    case 'list': {
      const listing = folder.listings[by];
      if (listing === undefined) {
        const begun = { sure: Object.keys(files).sort(), maybe: [] };
        return [[{ ...folder, listings: { ...folder.listings, [by]: begun } }, 'listing']];
      }
      const { [by]: _, ...listings } = folder.listings;
      return subsets(listing.maybe).map((some) => [
        { ...folder, listings },
        [...listing.sure, ...some].sort(),
      ]);
    }
    case 'create':
      if (move.name in files) throw new Error(`${move.name} is there`);
      return [put({ ...files, [move.name]: 'half' }, undefined)];
    case 'write':
      return [put({ ...files, [move.name]: `whole-${move.name}` }, undefined)];
    case 'remove':
      return [put(without(files, move.name), undefined)];
    case 'settle':
      return [[folder, files[move.name]]];
    case 'identify':
      return [[folder, move.name === undefined ? folder.path : files[move.name]]];
    case 'record': {
      const fence = files[String(move.token)];
      if (fence === undefined) return [[folder, false]];
      return [put({ ...files, [String(move.token)]: `${fence}\n${move.mark}` }, true)];
    }
    case 'marks':
      return [[folder, (files[String(move.token)] ?? '').split('\n')]];
    case 'move': {
      const content = files[move.from];
      if (content === undefined) return [[folder, false]];
      return [put({ ...without(files, move.from), [move.to]: content }, true)];
    }
    default: {
      const content = files[move.name];
      if (content === undefined) return [[folder, 'gone']];
      if (move.do === 'link' && folder.path !== undefined) return [[folder, 'exists']];
      const left = move.do === 'link' ? files : without(files, move.name);
      return [[{ ...changed(folder, left, by), path: content }, 'done']];
    }
  }
}

/** Runs steps on a folder at which nobody else works. */
export function alone<Result>(folder: Folder, work: Steps<Result>): { folder: Folder; result: Result } {
  let now = folder;
  let turn = work.next();
  while (!turn.done) {
    let [next, answer] = outcomes(now, -1, turn.value)[0]!;
    if (answer === 'listing') [next, answer] = outcomes(next, -1, turn.value)[0]!;
    now = next;
    turn = work.next(answer as Answer);
  }
  return { folder: now, result: turn.value };
}

/** What is left once another one has claimed the path. */
export function claimedBy(token: bigint, folder: Folder): Folder {
  return alone(folder, claiming(draftOf(token))).folder;
}

/** As `settledFile`: who has published, and the folder after the sweep. */
export function settled(folder: Folder): { folder: Folder; token: bigint | undefined } {
  const { result } = alone(folder, finding());
  if (result === undefined) return { folder, token: undefined };
  return { folder: alone(folder, sweeping(result)).folder, token: result.token };
}

/** The same for folders that nobody can tell apart. */
export function keyOf({ files, path, listings }: Folder): string {
  return JSON.stringify([Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)), path, listings]);
}
