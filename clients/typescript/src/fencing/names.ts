/** Where a fence keeps what: `.NAME.fence/` beside the file holds a fence for each token, and files under way. */
import { basename, dirname, extname, join, resolve } from 'node:path';

/** The places that belong to one published file. */
export interface Places {
  readonly path: string;
  /** Beside it, so that it lies on the same file system and a rename is atomic. */
  readonly folder: string;
  readonly parent: string;
}

export function placesOf(path: string): Places {
  const full = resolve(path);
  const parent = dirname(full);
  return { path: full, parent, folder: join(parent, `.${basename(full)}.fence`) };
}

/** What the writer fills. Keeps the file's extension: some libraries add it where it is missing. */
export function partName(token: bigint, nonce: string, path: string): string {
  return `${token}.${nonce}.part${extname(path)}`;
}

/** What is about to be published. Only our own rename makes it, so nobody can bring it back once it was removed. */
export function readyName(token: bigint, nonce: string): string {
  return `${token}.${nonce}.ready`;
}

/** The token of a fence; undefined if the name is none. */
export function fenceOf(name: string): bigint | undefined {
  return /^[1-9]\d{0,19}$/.test(name) ? BigInt(name) : undefined;
}

/** The token of a file under way, or of what a writer's tools made beside it; undefined if the name is none. */
export function fileOf(name: string): bigint | undefined {
  const found = /^([1-9]\d{0,19})\../.exec(name);
  return found === null ? undefined : BigInt(found[1]!);
}

/** Newest first. */
export function fencesIn(names: readonly string[]): bigint[] {
  return names
    .map(fenceOf)
    .filter((token) => token !== undefined)
    .sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
}

/** 0 where there is no fence. */
export function newestIn(names: readonly string[]): bigint {
  return fencesIn(names)[0] ?? 0n;
}
