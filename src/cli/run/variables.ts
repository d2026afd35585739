/** What the command finds in its environment: the token, the names, and for cards the variable that shows them. */
import { UsageError } from '../command.ts';

export interface Granted {
  readonly token: bigint;
  readonly resources: readonly string[];
  readonly leaseRef: string;
}

const FIELDS: Readonly<Record<string, (lease: Granted) => string>> = {
  name: ({ resources }) => resources.join(','),
  last: ({ resources }) => resources.map(lastOf).join(','),
  token: ({ token }) => String(token),
  ref: ({ leaseRef }) => leaseRef,
};
const GPU = 'CUDA_VISIBLE_DEVICES';
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FIELD = /\{\{|\}\}|\{([^{}]*)\}/g;

export interface Template {
  readonly name: string;
  readonly text: string;
}

/** `NAME=TEMPLATE`, as --env takes it. */
export function templateOf(text: string): Template {
  const at = text.indexOf('=');
  const name = text.slice(0, Math.max(at, 0));
  if (!VARIABLE.test(name)) throw new UsageError(`--env ${JSON.stringify(text)} must be NAME=TEMPLATE`);
  const template = text.slice(at + 1);
  for (const [whole, field] of template.matchAll(FIELD)) {
    if (field !== undefined && !Object.hasOwn(FIELDS, field))
      throw new UsageError(
        `--env ${name}: ${whole} is none of ${Object.keys(FIELDS)
          .map((known) => `{${known}}`)
          .join(', ')}`,
      );
  }
  return { name, text: template };
}

function filled(text: string, lease: Granted): string {
  return text.replace(FIELD, (whole, field?: string) => {
    if (field === undefined) return whole.charAt(0);
    return FIELDS[field]?.(lease) ?? whole;
  });
}

/** To be added to what is inherited; an own template for a variable comes before what would be set anyway. */
export function variablesOf(
  lease: Granted,
  templates: readonly Template[],
  showsCards: boolean,
): Readonly<Record<string, string>> {
  const cards = showsCards ? cardsOf(lease.resources) : undefined;
  return Object.fromEntries([
    ['HOLDFAST_TOKEN', String(lease.token)],
    ['HOLDFAST_RESOURCES', lease.resources.join(' ')],
    ['HOLDFAST_LEASE_REF', lease.leaseRef],
    ...(cards === undefined ? [] : [[GPU, cards]]),
    ...templates.map(({ name, text }) => [name, filled(text, lease)]),
  ]);
}

/**
 * The numbers of the cards, where all names say that they are cards of one machine: `gpu/3`, or `host7/gpu/0` and
 * `host7/gpu/1`. Anything else is not ours to interpret.
 */
export function cardsOf(resources: readonly string[]): string | undefined {
  const cards = resources.map((name) => /^(?:(.*)\/)?gpu\/(\d{1,3})$/.exec(name));
  const machines = new Set(cards.map((card) => card?.[1] ?? ''));
  const numbers = cards.map((card) => (card?.[2] === undefined ? '' : String(Number(card[2]))));
  if (numbers.includes('') || machines.size !== 1 || new Set(numbers).size !== numbers.length)
    return undefined;
  return numbers.join(',');
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
