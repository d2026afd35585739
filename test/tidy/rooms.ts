/** Which room may import from which, as data: imports go one step down. */

import { complain, resolved } from './files.ts';
import { type Import, importsOf } from './scan.ts';

export interface Door {
  readonly room: string;
  /** Only these files of the room. */
  readonly files?: readonly string[];
  /** Only what is erased when types are stripped. */
  readonly types?: true;
  /** Only by `import()`. */
  readonly dynamic?: true;
}

export interface Rule {
  readonly may: readonly Door[];
  readonly because: string;
}

const words: readonly Door[] = [{ room: 'domain' }, { room: 'std' }];

/** A room may always import from itself. */
export const rules: Readonly<Record<string, Rule>> = {
  std: { may: [], because: 'std knows nothing of locks' },
  domain: {
    may: [{ room: 'std' }],
    because: 'domain is the words that everybody shares, so it knows nobody',
  },
  nodes: { may: words, because: 'a node votes alone: it knows neither a majority nor what a lock means' },
  quorum: {
    may: [...words, { room: 'nodes' }],
    because: 'a majority is counted over nodes and knows no locks',
  },
  locks: {
    may: [...words, { room: 'quorum' }, { room: 'nodes', files: ['src/nodes/node.ts'], types: true }],
    because: 'what a lock means is decided over a quorum, without Redis: of nodes it sees the interface only',
  },
  edge: {
    may: [...words, { room: 'gen' }, { room: 'locks', files: ['src/locks/locks.ts'], types: true }],
    because:
      'the edge translates gRPC into questions and knows no rule about locks: it sees the questions only',
  },
  gen: { may: [], because: 'it is generated from proto/ alone' },
  config: { may: words, because: 'settings are read before anything else exists' },
  control: {
    may: [
      ...words,
      { room: 'config' },
      { room: 'locks' },
      { room: 'quorum' },
      { room: 'nodes', types: true },
    ],
    because: 'control listens and reports, off the path; it may look at locks and quorum and steers neither',
  },
  workers: {
    may: [...words, { room: 'config' }, { room: 'control' }, { room: 'edge', files: ['src/edge/listen.ts'] }],
    because: 'it minds processes and hands them connections; what they serve is none of its business',
  },
  cli: {
    may: [
      ...words,
      { room: 'config' },
      { room: 'gen', types: true },
      { room: 'app', dynamic: true },
      { room: 'app', types: true },
    ],
    because: 'a command is a client of the service, and loads the whole service only to serve',
  },
  app: {
    may: ['std', 'domain', 'nodes', 'quorum', 'locks', 'edge', 'gen', 'config', 'control', 'workers'].map(
      (room) => ({
        room,
      }),
    ),
    because: 'it is the composition root, the only file that sees all',
  },
};

/** Rules broken knowingly: `FILE -> IMPORTED` with the reason. */
export const exceptions: Readonly<Record<string, string>> = {};

/** The room of a source file. */
export function roomOf(path: string): string {
  if (path.startsWith('src/edge/gen/')) return 'gen';
  const [, room = ''] = path.split('/');
  return room.replace(/\.ts$/, '');
}

/** The only file of the service that may import from clients/. */
const CLIENT_DOOR = 'src/cli/client.ts';

function opens(door: Door, room: string, target: string, { typeOnly, dynamic }: Import): boolean {
  if (door.room !== room) return false;
  if (door.files !== undefined && !door.files.includes(target)) return false;
  if (door.types === true && !typeOnly) return false;
  return door.dynamic !== true || dynamic;
}

/** What is wrong with the imports of one file between rooms. */
export function brokenRooms(path: string, source: string): string[] {
  const room = roomOf(path);
  const rule = rules[room];
  if (rule === undefined)
    return [complain(path, 1, `no rule for src/${room}: add it to test/tidy/rooms.ts with its reason`)];
  return importsOf(source).flatMap((imported) => {
    const target = resolved(path, imported.from);
    if (!imported.from.startsWith('.') || roomOf(target) === room) return [];
    if (target.startsWith('clients/') && path !== CLIENT_DOOR)
      return [complain(path, imported.line, `may not import ${target}: take it from ${CLIENT_DOOR}`)];
    if (!target.startsWith('src/') || rule.may.some((door) => opens(door, roomOf(target), target, imported)))
      return [];
    if (`${path} -> ${target}` in exceptions) return [];
    return [complain(path, imported.line, `src/${room} may not import ${target}: ${rule.because}`)];
  });
}

export interface Sole {
  readonly packages: RegExp;
  readonly doors: RegExp;
  readonly because: string;
}

/** Packages with one door each. */
export const packages: readonly Sole[] = [
  {
    packages: /^redlock$/,
    doors: /^src\/quorum\/redlock\.ts$/,
    because:
      'redlock has traps (an even tie hangs, expiry is not checked) that src/quorum/redlock.ts keeps to itself',
  },
  {
    packages: /^ioredis$/,
    doors: /^src\/(nodes\/(redis-node|redis-ear|connection)|control\/events\/stream)\.ts$/,
    because: 'ioredis repeats lost commands unless it is set up as in src/nodes/connection.ts',
  },
  {
    packages: /^(@grpc\/|grpc-health-check$)/,
    doors: /^src\/(edge|cli)\//,
    because: 'gRPC ends at src/edge, and begins at src/cli',
  },
  {
    packages: /^@opentelemetry\//,
    doors: /^src\/(control\/|edge\/tracing\.ts$)/,
    because:
      'the path announces through domain/probe.ts; spans are made in src/control and src/edge/tracing.ts',
  },
];

export function brokenPackages(path: string, source: string): string[] {
  return importsOf(source).flatMap(({ from, line }) =>
    packages
      .filter((sole) => sole.packages.test(from) && !sole.doors.test(path))
      .map(({ because }) => complain(path, line, `may not import ${from}: ${because}`)),
  );
}

/** std and domain use what comes with Node and nothing else. */
export function brokenGround(path: string, source: string): string[] {
  const room = roomOf(path);
  if (room !== 'std' && room !== 'domain') return [];
  return importsOf(source)
    .filter(({ from }) => !from.startsWith('.') && !from.startsWith('node:'))
    .map(({ from, line }) =>
      complain(path, line, `src/${room} may import no package, so not ${from}: use a node: module`),
    );
}

/** Each cycle of imports that exist at run time, as the paths on it. */
export function cyclesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, above: readonly string[]): void => {
    const at = above.indexOf(path);
    if (at >= 0) cycles.push([...above.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...above, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
}
