/** What a client command takes from its environment: whom it calls, and what a command that it starts inherits. */

import { DEFAULT_ADDRESS } from '../config.ts';
import type { Environment } from './sources.ts';
import { formatAddress, isShowable, parseAddresses } from './values.ts';

/** Every replica that a command may call: the flags, else HOLDFAST_ADDRESS (a comma list), else the default. */
export function loadAddresses(
  flags: readonly string[],
  env: Environment = process.env,
):
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] } {
  const text = flags.length > 0 ? flags.join(',') : env.HOLDFAST_ADDRESS || DEFAULT_ADDRESS;
  const parsed = parseAddresses(text);
  if ('value' in parsed) return { ok: true, addresses: parsed.value.map(formatAddress) };
  const label = flags.length > 0 ? '--address' : 'HOLDFAST_ADDRESS';
  const shown = isShowable(text) ? JSON.stringify(text) : '(not shown)';
  return { ok: false, problems: parsed.faults.map((why) => `${label} ${shown}: ${why}`) };
}

/** The environment of a command that `holdfast run` starts, and the path on which it is looked for. */
export function inheritedEnvironment(): Environment {
  return { ...process.env };
}
