/** Calls that have one door each, as data: what is banned, where it is allowed, and what to use instead. */
import { complain } from './files.ts';
import { blank, lineOf } from './scan.ts';

export interface Ban {
  readonly what: RegExp;
  /** Files the ban is about. */
  readonly where: RegExp;
  readonly doors: RegExp;
  readonly instead: string;
  /** `code`: comments and the insides of strings do not count. */
  readonly look?: 'text';
  /** Files that may all the same, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

const NOWHERE = /(?!)/;
const SRC = /^src\//;
const TESTS = /^test\//;

export const bans: readonly Ban[] = [
  {
    what: /\bDate\.now\b|\bperformance\.(now|timeOrigin)\b|\bnew Date\(\s*\)|\bprocess\.hrtime\b/g,
    where: SRC,
    doors: /^src\/std\/clock\.ts$/,
    instead: 'take a Clock and ask it, so that tests can move time',
  },
  {
    what: /\bset(Timeout|Interval)\s*\(|['"]node:timers(\/promises)?['"]/g,
    where: SRC,
    doors: /^src\/std\/clock\.ts$/,
    instead: 'use clock.after or pause of src/std/clock.ts',
    exceptions: {
      'src/cli/main.ts':
        'the last act of a command: ends a process whose handles linger, no clock is there yet',
      'src/control/logs.ts':
        'bounds its own shutdown in real time, and must keep the process alive until then',
      'src/control/tracing.ts':
        'bounds its own shutdown in real time, and must keep the process alive until then',
    },
  },
  {
    what: /\bMath\.random\b|\brandom(Bytes|FillSync|Fill|UUID|Int)\b|\bgetRandomValues\b/g,
    where: SRC,
    doors: /^src\/std\/random\.ts$/,
    instead: 'take a Random of src/std/random.ts, so that a seed repeats the run',
  },
  {
    what: /\bprocess\.env\b/g,
    where: SRC,
    doors: /^src\/config(\.ts|\/)/,
    instead:
      'add a setting to src/config/table.ts: one reader of the environment reports every problem at once',
  },
  {
    what: /\bconsole\s*\.\s*\w+/g,
    where: SRC,
    doors: NOWHERE,
    instead: 'announce through domain/probe.ts, or write to the Io that the command was given',
  },
  {
    what: /\bas any\b|:\s*any\b(?!\s*[:(])|<any\b|\bany\s*\[\]|\bas unknown as any\b/g,
    where: /^(src|test|bench)\//,
    doors: NOWHERE,
    instead: 'name the type, or take unknown and narrow it',
  },
  {
    what: /@ts-(ignore|nocheck)\b/g,
    where: /^(src|test|bench)\//,
    doors: /^test\/tidy\//,
    look: 'text',
    instead: 'mend the type, or use @ts-expect-error with a reason',
  },
  {
    what: /\b(it|test|describe|suite|bench)\s*\.\s*(only|skip|todo|fails)\b|\.(each|concurrent|sequential)\.(only|skip|todo)\b/g,
    where: TESTS,
    doors: NOWHERE,
    instead: 'run every test always: mend it or remove it',
  },
  {
    what: /\bset(Timeout|Interval)\s*\(|['"]node:timers(\/promises)?['"]|\bpause\(\s*systemClock\b/g,
    where: TESTS,
    doors: /^test\/harness\//,
    instead:
      'wait for a state with the poll helper of test/harness, or use a ManualClock: a sleep is slow and still too short',
  },
  {
    what: /\bDate\.now\b|\bperformance\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bsystemClock\b/g,
    where: /^test\/unit\//,
    doors: NOWHERE,
    instead: 'a unit test knows neither real time nor chance: use ManualClock and SeededRandom',
    exceptions: {
      'test/unit/control/metrics.test.ts': 'measures what one record costs, which only a real clock can tell',
      'test/unit/control/telemetry.test.ts':
        'bounds how long a shutdown takes, which only a real clock can tell',
    },
  },
];

/** What `path` does that it may not. Test files that show a ban by an example hide it in a string. */
export function broken(path: string, source: string, list: readonly Ban[] = bans): string[] {
  const { code, withText } = blank(source);
  return list.flatMap(({ what, where, doors, instead, look, exceptions }) => {
    if (!where.test(path) || doors.test(path) || exceptions?.[path] !== undefined) return [];
    const matches = [
      ...(look === 'text'
        ? source
        : what.source.includes('node:timers')
          ? imported(withText)
          : code
      ).matchAll(what),
    ];
    const called = what.source.includes('node:timers') ? [...code.matchAll(what)] : [];
    return [...matches, ...called].map(({ 0: found, index }) =>
      complain(path, lineOf(source, index), `${found.trim()} is not allowed here: ${instead}`),
    );
  });
}

/** Only import lines keep their text: a module name in a string elsewhere is no import. */
function imported(withText: string): string {
  return withText
    .split('\n')
    .map((line) => (/^\s*(import\b|\}\s*from\b)/.test(line) ? line : ' '.repeat(line.length)))
    .join('\n');
}
