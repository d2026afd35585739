/** Changes a source by a bug's patches; a rule that does not stand exactly once is no longer what we seed. */
import { bugs, type Patch } from './bugs.ts';

/** '' names none. */
export function patchesOf(name: string): readonly Patch[] {
  if (name === '') return [];
  const bug = bugs.find((one) => one.name === name);
  if (bug === undefined)
    throw new Error(`no bug is called ${name}; there are ${bugs.map((one) => one.name).join(', ')}`);
  return bug.patches;
}

export function patched(patches: readonly Patch[], file: string, source: string): string {
  let changed = source;
  for (const { file: of, rule, instead } of patches) {
    if (of !== file) continue;
    const places = changed.split(rule).length - 1;
    if (places !== 1) throw new Error(`${file} has the rule ${places} times, not once: ${rule}`);
    changed = changed.replace(rule, () => instead);
  }
  return changed;
}
