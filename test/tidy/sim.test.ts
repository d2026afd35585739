/** The simulation runs the code that it judges: it has no rule about votes, lines or tokens of its own, and no real time. */
import { describe, expect, test } from 'vitest';
import { complain, files, read, resolved } from './files.ts';
import { blank, importsOf, lineOf } from './scan.ts';

const simulation = files.filter((path) => /^test\/sim\/.*\.ts$/.test(path));

interface Door {
  readonly path: RegExp;
  /** Only what is erased when types are stripped. */
  readonly types?: true;
}

/** What of the service the simulation may touch. */
const DOORS: readonly Door[] = [
  { path: /^src\/(std|domain)\// },
  { path: /^src\/locks\/(desk|mend)\.ts$/ },
  { path: /^src\/locks\/(locks|line)\.ts$/, types: true },
  { path: /^src\/quorum\/(cluster|quorum|bootstrap|adopt)\.ts$/ },
  { path: /^src\/nodes\/(memory-node|clock-watch)\.ts$/ },
  { path: /^src\/nodes\/(node|line|answer|admin|member|memory-record)\.ts$/, types: true },
];

/** And of the tests: the judge, and what reads sources. */
const HARNESS = /^test\/(sim|harness\/history)\/|^test\/tidy\/scan\.ts$/;

function foreign(path: string, source: string): string[] {
  return importsOf(source).flatMap(({ from, typeOnly, line }) => {
    const target = resolved(path, from);
    if (!from.startsWith('.') || HARNESS.test(target)) return [];
    if (DOORS.some((door) => door.path.test(target) && (door.types !== true || typeOnly))) return [];
    const why = 'the simulation must run the rules of src, not parts of them: see DOORS';
    return [complain(path, line, `may not import ${target}: ${why}`)];
  });
}

interface Ban {
  readonly what: RegExp;
  readonly where: RegExp;
  readonly instead: string;
}

const WORLD = /^test\/sim\/world\//;

const BANS: readonly Ban[] = [
  {
    what: /\bmajority\w*|\bquorumOf\b|\/\s*2\s*\)?\s*\+\s*1\b/gi,
    where: WORLD,
    instead: 'whether there is a majority is for src/quorum to say',
  },
  {
    what: /\b\w*[Ff](?:ence|loor)\w*\s*(?:[<>]=?|[!=]==)|(?:[<>]=?|[!=]==)\s*\w*(?:\.\w+)*\.?[Ff]ence\b/g,
    where: WORLD,
    instead: 'whether a token is too old is for the nodes of src to say',
  },
  {
    what: /\bset(?:Timeout|Interval)\b|\bDate\b|\bperformance\b|\bprocess\.(?:hrtime|nextTick)\b|\bsystemClock\b/g,
    where: WORLD,
    instead: 'time is simulated: take it from the timeline',
  },
  {
    what: /\bMath\.random\b|\bsystemRandom\b|\brandom(?:Bytes|FillSync|UUID|Int)\b/g,
    where: WORLD,
    instead: 'chance comes from the seed, so that a failure repeats',
  },
];

function banned(path: string, source: string): string[] {
  const { code } = blank(source);
  return BANS.filter(({ where }) => where.test(path)).flatMap(({ what, instead }) =>
    [...code.matchAll(what)].map(({ 0: found, index }) =>
      complain(path, lineOf(source, index), `${found.trim()} is not allowed here: ${instead}`),
    ),
  );
}

describe('test/sim', () => {
  test('is there, and plays over the desk, the cluster and the memory node of src', () => {
    const used = simulation.flatMap((path) => importsOf(read(path)).map(({ from }) => resolved(path, from)));
    for (const path of ['src/locks/desk.ts', 'src/quorum/cluster.ts', 'src/nodes/memory-node.ts'])
      expect(used).toContain(path);
  });

  test('takes whole rooms of src, and no rule out of them', () => {
    expect(simulation.flatMap((path) => foreign(path, read(path)))).toEqual([]);
  });

  test('decides nothing itself, and its world knows neither time nor chance', () => {
    expect(simulation.flatMap((path) => banned(path, read(path)))).toEqual([]);
  });
});

test.each([
  "import { hold } from '../../../src/nodes/memory-vote.ts';",
  "import { join } from '../../../src/nodes/memory-line.ts';",
  "import { majorityOf } from '../../../src/quorum/ballot.ts';",
  "import { vote } from '../../../src/quorum/redlock.ts';",
  "import { acquire } from '../../../src/locks/acquire.ts';",
  "import { Line } from '../../../src/locks/line.ts';",
  "import { allRules } from '../../../src/nodes/memory-record.ts';",
  "import { ManualNode } from '../../harness/nodes.ts';",
])('the door rule can fail: %s', (source) => {
  expect(foreign('test/sim/world/a.ts', source)).toEqual([
    expect.stringMatching(/^test\/sim\/world\/a\.ts:1: may not import/),
  ]);
});

test('what the simulation needs is allowed', () => {
  for (const source of [
    "import { makeLocks } from '../../../src/locks/desk.ts';",
    "import type { LineSettings } from '../../../src/locks/line.ts';",
    "import type { Rules } from '../../../src/nodes/memory-record.ts';",
    "import { check } from '../../harness/history/check.ts';",
    "import { fork } from 'node:child_process';",
  ])
    expect(foreign('test/sim/world/a.ts', source)).toEqual([]);
});

test.each([
  ['const needed = Math.floor(nodes / 2) + 1;', /src\/quorum/],
  ['if (votes >= majority) grant();', /src\/quorum/],
  ['if (token <= record.fence) refuse();', /nodes of src/],
  ['if (fence >= token) refuse();', /nodes of src/],
  ['setTimeout(act, 5);', /timeline/],
  ['const now = Date.now();', /timeline/],
  ['const now = performance.now();', /timeline/],
  ['const clock = systemClock;', /timeline/],
  ['const fraction = Math.random();', /seed/],
  ['const secret = systemRandom.bytes(16);', /seed/],
])('the ban can fail: %s', (source, why) => {
  expect(banned('test/sim/world/a.ts', source)).toEqual([expect.stringMatching(why)]);
  expect(banned('test/sim/world/a.ts', `// ${source}`)).toEqual([]);
});
