/** The files of the repository as the rules see them, by paths relative to its root. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Made by tools, or not ours. */
const IGNORED = new Set([
  'node_modules',
  '.git',
  '.venv',
  'dist',
  'build',
  'coverage',
  '__pycache__',
  'results',
  '.pytest_cache',
  '.mypy_cache',
  '.hypothesis',
]);
const GENERATED =
  /^src\/edge\/gen\/|^clients\/typescript\/src\/gen\/|(^|\/)(package-lock\.json|[^/]*_pb2(_grpc)?\.pyi?)$/;

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = posix.join(folder, entry.name);
    if (IGNORED.has(entry.name) || entry.name.endsWith('.egg-info')) continue;
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

const TEXT =
  /(^|\/)[^.]*$|\.(ts|js|mjs|cjs|json|py|pyi|toml|lua|proto|sh|md|yml|yaml|c|pml|txt|cfg|conf|sql)$|Dockerfile|Makefile/;

export const files: readonly string[] = [...walk('.')]
  .filter((path) => TEXT.test(path) && !GENERATED.test(path))
  .sort();

const texts = new Map<string, string>();

export function read(path: string): string {
  const known = texts.get(path);
  if (known !== undefined) return known;
  const text = readFileSync(join(root, path), 'utf8');
  texts.set(path, text);
  return text;
}

export const sources = files.filter((path) => /^src\/.*\.ts$/.test(path));
export const tests = files.filter((path) => /^test\/.*\.ts$/.test(path));
export const benches = files.filter((path) => /^bench\/.*\.ts$/.test(path));

/** What `specifier` means in `path`: a path of the repository, or the name of a package. */
export function resolved(path: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(dirname(path), specifier) : specifier;
}

/** One complaint, with the line that an editor can open. */
export function complain(path: string, line: number, what: string): string {
  return `${path}:${line}: ${what}`;
}
