/** Imports go one step down, packages have one door each, and nothing goes in circles. */
import { expect, test } from 'vitest';
import { read, resolved, sources } from './files.ts';
import { brokenGround, brokenPackages, brokenRooms, cyclesIn, exceptions, roomOf, rules } from './rooms.ts';
import { importsOf } from './scan.ts';

test('every room imports only from the rooms below it', () => {
  expect(sources.flatMap((path) => brokenRooms(path, read(path)))).toEqual([]);
});

test('redlock, ioredis, gRPC and OpenTelemetry have one door each', () => {
  expect(sources.flatMap((path) => brokenPackages(path, read(path)))).toEqual([]);
});

test('std and domain stand on Node alone', () => {
  expect(sources.flatMap((path) => brokenGround(path, read(path)))).toEqual([]);
});

test('no imports go in circles at run time', () => {
  const graph = new Map(
    sources.map((path) => [
      path,
      importsOf(read(path)).flatMap(({ from, typeOnly, dynamic }) =>
        typeOnly || dynamic || !from.startsWith('.') ? [] : [resolved(path, from)],
      ),
    ]),
  );
  expect(cyclesIn(graph)).toEqual([]);
});

test('every relative import names a file that exists', () => {
  const known = new Set(sources);
  const missing = sources.flatMap((path) =>
    importsOf(read(path))
      .map(({ from }) => resolved(path, from))
      .filter(
        (target) => target.startsWith('src/') && !target.startsWith('src/edge/gen/') && !known.has(target),
      )
      .map((target) => `${path}: ${target}`),
  );
  expect(missing).toEqual([]);
});

test('every room has a rule, and every exception is still needed', () => {
  expect([...new Set(sources.map(roomOf))].filter((room) => rules[room] === undefined)).toEqual([]);
  const real = new Set(
    sources.flatMap((path) => importsOf(read(path)).map(({ from }) => `${path} -> ${resolved(path, from)}`)),
  );
  expect(Object.keys(exceptions).filter((exception) => !real.has(exception))).toEqual([]);
});

test.each([
  ['src/std/a.ts', "import { limits } from '../domain/limits.ts';", /src\/std may not import src\/domain/],
  ['src/domain/a.ts', "import type { Answer } from '../nodes/node.ts';", /src\/domain may not import/],
  [
    'src/nodes/a.ts',
    "import { majorityOf } from '../quorum/ballot.ts';",
    /src\/nodes may not import src\/quorum/,
  ],
  [
    'src/quorum/a.ts',
    "import type { Lease } from '../locks/locks.ts';",
    /src\/quorum may not import src\/locks/,
  ],
  ['src/locks/a.ts', "import { SCHEMA } from '../nodes/node.ts';", /src\/locks may not import src\/nodes/],
  ['src/locks/a.ts', "import { type Answer, SCHEMA } from '../nodes/node.ts';", /src\/locks may not import/],
  ['src/locks/a.ts', "import type { RedisNode } from '../nodes/redis-node.ts';", /src\/locks may not import/],
  ['src/edge/a.ts', "import type { Quorum } from '../quorum/quorum.ts';", /src\/edge may not import/],
  ['src/edge/a.ts', "import { acquire } from '../locks/acquire.ts';", /src\/edge may not import/],
  ['src/edge/a.ts', "import { loadSettings } from '../config.ts';", /src\/edge may not import/],
  ['src/control/a.ts', "import { startEdge } from '../edge/server.ts';", /src\/control may not import/],
  ['src/control/a.ts', "import { RedisNode } from '../nodes/redis-node.ts';", /src\/control may not import/],
  ['src/workers/a.ts', "import { startEdge } from '../edge/server.ts';", /src\/workers may not import/],
  ['src/cli/a.ts', "import { run } from '../app.ts';", /src\/cli may not import src\/app/],
  ['src/cli/a.ts', "import { makeLocks } from '../locks/desk.ts';", /src\/cli may not import/],
  ['src/config/a.ts', "import { makeLocks } from '../locks/desk.ts';", /src\/config may not import/],
  ['src/lobby/a.ts', '', /no rule for src\/lobby/],
  [
    'src/cli/run.ts',
    "import { Holdfast } from '../../clients/typescript/src/index.ts';",
    /take it from src\/cli\/client\.ts/,
  ],
])('the rule can fail: %s with %s', (path, source, why) => {
  expect(brokenRooms(path, source)).toEqual([expect.stringMatching(why)]);
});

test.each([
  ['src/quorum/a.ts', "import Redlock from 'redlock';"],
  ['src/quorum/a.ts', "import { Redis } from 'ioredis';"],
  ['src/locks/a.ts', "import { status } from '@grpc/grpc-js';"],
  ['src/edge/server.ts', "import { trace } from '@opentelemetry/api';"],
])('the package rule can fail: %s with %s', (path, source) => {
  expect(brokenPackages(path, source).length).toBe(1);
  expect(brokenGround('src/std/a.ts', source).length).toBe(1);
});

test('what is allowed is allowed: types of the node interface, the app by import(), one step down', () => {
  expect(brokenRooms('src/locks/a.ts', "import type { Answer } from '../nodes/node.ts';")).toEqual([]);
  expect(brokenRooms('src/cli/a.ts', "const app = await import('../app.ts');")).toEqual([]);
  expect(brokenRooms('src/cli/client.ts', "export * from '../../clients/typescript/src/index.ts';")).toEqual(
    [],
  );
  expect(brokenRooms('src/edge/a.ts', "import { type Locks } from '../locks/locks.ts';")).toEqual([]);
  expect(brokenPackages('src/edge/tracing.ts', "import { trace } from '@opentelemetry/api';")).toEqual([]);
});

test('a circle is found, however long, and a diamond is none', () => {
  const graph = (edges: Record<string, string[]>) => cyclesIn(new Map(Object.entries(edges)));
  expect(graph({ a: ['b'], b: ['c'], c: ['a'] })).toEqual(['a -> b -> c -> a']);
  expect(graph({ a: ['a'] })).toEqual(['a -> a']);
  expect(graph({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] })).toEqual([]);
});
