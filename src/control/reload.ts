/** Reload: new settings are prepared by every part that has use for them, and then all of them are applied, or none. */
import { changesBetween, nameOfKey } from '../config/live.ts';
import { packSettings } from '../config/pack.ts';
import { brokenRelations } from '../config/relations.ts';
import type { Settings } from '../config.ts';
import type { Reloaded } from '../domain/operations.ts';
import type { Probe } from '../domain/probe.ts';
import { type FieldViolation, invalidFields, type Refusal } from '../domain/refusals.ts';
import { Numbers } from './families.ts';

export type Prepared =
  /** `field` is the name of a setting. */
  | { readonly problems: readonly FieldViolation[] }
  | {
      /** Must not fail. Returns the settings whose files have other contents now, though they name the same files. */
      commit(): readonly string[];
      /** In its place, where another part cannot take the settings. Must not fail. */
      abandon?(): void;
    };

/** What is asked of a new reading of the settings. */
export type Reading =
  | { readonly ok: true; readonly settings: Settings; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Something that runs by settings. */
export interface Part {
  /** Reads and checks all that it needs, and changes nothing. */
  prepare(next: Settings): Prepared | Promise<Prepared>;
}

/** A part that has nothing to check. */
export function following(act: (next: Settings) => void): Part {
  return {
    prepare: (next) => ({
      commit: () => {
        act(next);
        return [];
      },
    }),
  };
}

export class Reloader {
  readonly family = new Numbers(
    'counter',
    'holdfast_reloads_total',
    'Times the settings were read again, by whether they were taken.',
    ['outcome'],
  );
  readonly #probe: Pick<Probe, 'notice'>;
  readonly #parts: Part[] = [];
  /** What is in force: of the settings that need a restart, those of the start. */
  #current: Settings;
  #last: Promise<unknown> = Promise.resolve();

  constructor(current: Settings, probe: Pick<Probe, 'notice'>) {
    this.#current = current;
    this.#probe = probe;
    for (const outcome of ['applied', 'refused']) this.family.of(outcome);
  }

  add(part: Part): void {
    this.#parts.push(part);
  }

  /** One after the other: two at once could leave parts of each. */
  reload(load: () => Reading): Promise<Reloaded | Refusal> {
    const next = this.#last.then(() => this.#reload(load));
    this.#last = next;
    return next;
  }

  async #reload(load: () => Reading): Promise<Reloaded | Refusal> {
    try {
      const loaded = load();
      if (!loaded.ok) return this.#refuse(loaded.problems.map(violationOf));
      for (const warning of loaded.warnings) this.#probe.notice('warn', warning);
      return await this.#apply(loaded.settings);
    } catch (error) {
      return this.#refuse([{ field: 'settings', description: String(error) }]);
    }
  }

  async #apply(settings: Settings): Promise<Reloaded | Refusal> {
    const { live, restart } = changesBetween(this.#current, settings, textOf);
    const next = merged(this.#current, settings, live);
    // What was read fits together; what would be in force is a mixture of it and of the start.
    const stays = restart.length === 0 ? '' : `; until a restart ${restart.map(nameOfKey).join(', ')} stays`;
    const broken = brokenRelations(next).map((problem) => violationOf(`${problem}${stays}`));
    if (broken.length > 0) return this.#refuse(broken);
    const prepared = await Promise.all(this.#parts.map((part) => part.prepare(next)));
    const problems = prepared.flatMap((one) => ('problems' in one ? one.problems : []));
    if (problems.length > 0) {
      for (const one of prepared) if ('abandon' in one) one.abandon?.();
      return this.#refuse(problems);
    }
    const contents = prepared.flatMap((one) => ('commit' in one ? one.commit() : []));
    this.#current = next;
    this.family.of('applied').value += 1;
    const changed = [...new Set([...live.map(nameOfKey), ...contents])].sort();
    const restartRequired = restart.map(nameOfKey).sort();
    this.#probe.notice('info', 'settings were read again', { changed, restartRequired });
    return { kind: 'reloaded', changed, restartRequired };
  }

  #refuse(problems: readonly FieldViolation[]): Refusal {
    this.family.of('refused').value += 1;
    const told = problems.map(({ field, description }) => `${field}: ${description}`);
    this.#probe.notice('error', 'the settings were read again and are wrong; the old ones stay in force', {
      problems: told,
    });
    return invalidFields(problems);
  }
}

/** `HOLDFAST_MIN_TTL "x" (file): must be ...`: each problem begins with what it is about. */
function violationOf(problem: string): FieldViolation {
  const [, field = 'settings'] = /^(HOLDFAST_[A-Z0-9_]+|--[a-z0-9-]+)/.exec(problem) ?? [];
  return { field, description: field === 'settings' ? problem : problem.slice(field.length).trim() };
}

function textOf(value: unknown): string {
  return JSON.stringify(packSettings(value as Settings)) ?? '';
}

/** Of `fresh` what is in `live`, be it that something ceased to be set; the rest of `current`. */
function merged(current: Settings, fresh: Settings, live: readonly string[]): Settings {
  const kept = Object.entries(current).filter(([key]) => !live.includes(key));
  const taken = Object.entries(fresh).filter(([key]) => live.includes(key));
  return Object.fromEntries([...kept, ...taken]) as unknown as Settings;
}
