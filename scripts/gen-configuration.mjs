/** Writes the table of docs/configuration.md from the settings themselves; with --check only tells whether it is fresh. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeSettings } from '../src/config.ts';

const FILE = new URL('../docs/configuration.md', import.meta.url);
const BEGIN = '<!-- settings: written by scripts/gen-configuration.mjs -->';
const END = '<!-- end of settings -->';

const cell = (text) => text.replaceAll('|', '\\|');

function row({ name, flag, fallback, allowed, meaning, secret, live }) {
  const shown = fallback === undefined ? 'none' : `\`${fallback}\``;
  const marked = `\`${name}\`${secret ? ' *secret*' : ''}`;
  return `| ${marked} | \`${flag}\` | ${shown} | ${cell(allowed)} | ${live ? 'reload' : 'restart'} | ${cell(meaning)} |`;
}

/** The document with its table as the settings are now. */
export function fresh(document) {
  const [from, until] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (from < 0 || until < from) throw new Error(`docs/configuration.md has no ${BEGIN} ... ${END}`);
  const head =
    '| setting | flag | default | it must be | a change needs | meaning |\n|---|---|---|---|---|---|';
  const table = [head, ...describeSettings().map(row)].join('\n');
  return `${document.slice(0, from)}${BEGIN}\n\n${table}\n\n${document.slice(until)}`;
}

if (import.meta.main) {
  const now = readFileSync(FILE, 'utf8');
  const then = fresh(now);
  if (process.argv.includes('--check')) {
    if (now !== then) {
      process.stderr.write('docs/configuration.md is stale: node scripts/gen-configuration.mjs\n');
      process.exitCode = 1;
    }
  } else writeFileSync(FILE, then);
}
