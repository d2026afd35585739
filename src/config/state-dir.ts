/** Where a service of this user may keep what outlives it, by the conventions of systemd and XDG. */

import { isAbsolute, join } from 'node:path';
import type { Environment } from './sources.ts';

/** systemd gives a unit its directories, several with colons between them. */
export function stateDirOf({ STATE_DIRECTORY, XDG_STATE_HOME, HOME }: Environment): {
  readonly stateDir?: string;
} {
  const given = STATE_DIRECTORY?.split(':').find(isAbsolute);
  if (given !== undefined) return { stateDir: given };
  // A relative XDG_STATE_HOME is to be ignored, says its specification.
  const homes = [XDG_STATE_HOME, HOME === undefined ? undefined : join(HOME, '.local', 'state')];
  const home = homes.find((each) => each !== undefined && isAbsolute(each));
  return home === undefined ? {} : { stateDir: join(home, 'holdfast') };
}
