/** Whether an answer has what a scenario expects of it: plain values, nested, with a few words for what is not equal. */
import type { Value } from './model.ts';

/** Names that begin with `$`, by what they compare. */
const WORDS: Readonly<Record<string, (found: unknown, wanted: Value) => boolean>> = {
  $above: (found, wanted) => compare(found, wanted) > 0,
  $below: (found, wanted) => compare(found, wanted) < 0,
  $least: (found, wanted) => compare(found, wanted) >= 0,
  $most: (found, wanted) => compare(found, wanted) <= 0,
  $like: (found, wanted) => typeof found === 'string' && new RegExp(String(wanted)).test(found),
  $count: (found, wanted) => Array.isArray(found) && found.length === wanted,
  $not: (found, wanted) => differences(found, wanted).length > 0,
  $has: (found, wanted) =>
    Array.isArray(found) &&
    (wanted as readonly Value[]).every((one) => found.some((item) => differences(item, one).length === 0)),
};

/** Tokens are numbers of up to 20 digits, written as text. */
function compare(found: unknown, wanted: Value): number {
  const [a, b] = [found, wanted].map((value) =>
    typeof value === 'string' && /^\d+$/.test(value) ? BigInt(value) : value,
  );
  if (!['number', 'bigint'].includes(typeof a) || !['number', 'bigint'].includes(typeof b)) return Number.NaN;
  const [left, right] = [a, b] as [number, number];
  return left < right ? -1 : Number(left > right);
}

/** What is missing, one line each; nothing where `found` has all that `wanted` names. `null` stands for nothing at all. */
export function differences(found: unknown, wanted: Value, path = 'it'): string[] {
  const seen = (): string => JSON.stringify(found) ?? 'nothing';
  if (wanted === null || typeof wanted !== 'object') {
    const same = found === wanted || (wanted === null && found === undefined);
    return same ? [] : [`${path} is ${seen()} and not ${JSON.stringify(wanted)}`];
  }
  if (Array.isArray(wanted)) {
    if (!Array.isArray(found) || found.length !== wanted.length)
      return [`${path} is ${seen()} and not a list of ${wanted.length}`];
    return wanted.flatMap((one, at) => differences(found[at], one as Value, `${path}[${at}]`));
  }
  return Object.entries(wanted).flatMap(([key, inner]) => {
    const word = WORDS[key];
    if (word !== undefined)
      return word(found, inner) ? [] : [`${path} is ${seen()}: not ${key} ${JSON.stringify(inner)}`];
    if (key.startsWith('$')) throw new Error(`a pattern knows no ${key}`);
    if (found === null || typeof found !== 'object') return [`${path} is ${seen()} and has no ${key}`];
    return differences((found as Record<string, unknown>)[key], inner, `${path}.${key}`);
  });
}

/** Puts in what earlier steps gave (`$one.token`) and the names of this run (`~/gpu`). */
export function filled(value: Value, given: ReadonlyMap<string, unknown>, prefix: string): Value {
  if (typeof value === 'string') {
    if (!/^\$\w+(\.\w+)*$/.test(value)) return value.replaceAll('~/', `${prefix}/`);
    const [name = '', ...keys] = value.slice(1).split('.');
    const found = keys.reduce(
      (inner: unknown, key) => (inner as Record<string, unknown> | undefined)?.[key],
      given.get(name),
    );
    if (found === undefined) throw new Error(`no earlier step gave ${value}`);
    return found as Value;
  }
  if (Array.isArray(value)) return value.map((one) => filled(one as Value, given, prefix));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner, given, prefix)]));
}
