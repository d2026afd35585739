/** Which scenarios use which word of the contract, and the table that shows it. */
import { LANGUAGES, type Language, languagesOf, type Scenario, type Step, type Value } from './model.ts';
import { type Use, words } from './words.ts';

/** The names in the code spans of the tables and of the options of clients/README.md, TypeScript's where both have one. */
export function wordsOf(contract: string): string[] {
  const [, after = ''] = contract.split('## The words');
  const [text = ''] = after.split('## The rules');
  const found = text.split('\n').flatMap((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    if (line.startsWith('| error') || /^\|[-|]+$/.test(line) || line.startsWith('| TypeScript')) return [];
    if (!line.startsWith('|')) return line.startsWith('#') ? [] : optionsOf(line);
    const cell = cells[1] === '-' ? cells[2]! : `${cells[1]} ${errorFacts(cells)}`;
    return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, span = '']) => namesIn(span));
  });
  return [...new Set(found)].sort();
}

/** The last cell of a row of errors has what stands beside; that of a row of words is a sentence. */
const errorFacts = ([, first = '', , last = '']: string[]): string => (/Error`$/.test(first) ? last : '');

/** Outside the tables: options and what all errors have; the Python form in parentheses is left out. */
function optionsOf(line: string): string[] {
  const told = line.replaceAll(/\((Python|`[a-z_]+`)[^)]*\)/g, '');
  return [...told.matchAll(/`([A-Za-z]+)`/g)].flatMap(([, name = '']) => namesIn(name));
}

/** `hf.inspect(name, { history })` is `inspect` and `history`; the values that go in by place have no name. */
function namesIn(span: string): string[] {
  const [head = '', inner = ''] = span.split(/\((.*)/s);
  const name = /([A-Za-z]+)$/.exec(head.replace(/^(new |@)/, ''))?.[1];
  const options = /\{([^}]*)\}/.exec(span.startsWith('@') ? '' : inner)?.[1] ?? '';
  const facts = inner === '' ? (/^\{([^}]*)\}$/.exec(span)?.[1] ?? '') : '';
  return [name, ...`${options},${facts}`.split(',').map((one) => one.trim())].filter(
    (one): one is string => one !== undefined && /^[A-Za-z]+$/.test(one) && !PLACES.has(one),
  );
}

/** What a call is given by its place, types, and values that a word may have. */
const PLACES = new Set(
  'names field description undefined bigint int float AbortSignal expired released forced unknown'.split(' '),
);

function keysOf(value: Value | undefined): string[] {
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) return value.flatMap((one) => keysOf(one as Value));
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
}

function usedIn(step: Step, use: Use): boolean {
  const { with: given = {}, gives, fails, until } = step;
  const said = [gives, fails, until];
  if (use.do !== undefined) return step.do === use.do;
  if (use.via !== undefined) return given.via === use.via;
  if (use.with !== undefined) return step.by !== 'outside' && use.with in given;
  if (use.event !== undefined) return given.event === use.event;
  if (use.says !== undefined)
    return step.by !== 'outside' && said.some((one) => keysOf(one).includes(use.says!));
  return said.some((one) => (one as { error?: Value } | undefined)?.error === use.error);
}

export function uses({ clients, steps }: Scenario, use: Use): boolean {
  if (use.plan !== undefined) return Object.values(clients).some((plan) => use.plan! in plan);
  return steps.some((step) => (step.by !== 'stage' || use.do === 'drain' ? usedIn(step, use) : false));
}

const mark = (language: Language, found: readonly Scenario[]): string =>
  String(found.filter((scenario) => languagesOf(scenario).includes(language)).length || '-');

/** A line a word: how many scenarios use it in each language, and the first of them. */
export function table(scenarios: readonly Scenario[]): string {
  const lines = Object.entries(words).map(([word, use]) => {
    const found = scenarios.filter((scenario) => uses(scenario, use));
    const counts = LANGUAGES.map((language) => mark(language, found)).join(' | ');
    return `| \`${word}\` | ${counts} | ${found[0]?.name ?? ''} |`;
  });
  return [
    '# Parity',
    '',
    `Each word of [clients/README.md](../../clients/README.md), in how many of the ${scenarios.length} scenarios it is used in each language, and the first of them. Written by \`HOLDFAST_WRITE=1 vitest run --project real test/conformance/parity.test.ts\`; a test keeps it true.`,
    '',
    '| word | TypeScript | Python | asyncio | for example |',
    '|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
