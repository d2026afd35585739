/** Every scenario in every language: a client keeps its promise, and one that lacks what the promise needs is caught. */
import { afterAll, describe, expect, test, vi } from 'vitest';
import { Crew } from './crew.ts';
import { knockouts } from './knockouts.ts';
import { LANGUAGES, type Scenario, type Step } from './model.ts';
import { type Part, partsOf, play, type Run, stopOf } from './play.ts';
import { scenarios } from './scenarios/index.ts';
import { Stage } from './stage.ts';
import { Turns } from './turns.ts';

/** Of one scenario, the slowest stage included, on a busy machine. */
const LIMIT_MS = 240_000;
/** Scenarios that share a stage and are played at once. */
const AT_ONCE = 6;
vi.setConfig({ testTimeout: LIMIT_MS, hookTimeout: LIMIT_MS, maxConcurrency: 48 });

/** `HOLDFAST_LANGUAGES=python` plays one alone, while one works on it. */
const wanted = process.env.HOLDFAST_LANGUAGES?.split(',');
const languages = LANGUAGES.filter((language) => wanted === undefined || wanted.includes(language));
const played = scenarios.filter((scenario) => partsOf(scenario, languages).length > 0);
const chosen = languages.length === LANGUAGES.length ? '' : ` (${languages} only)`;

const crew = new Crew();
const runs = new Map<Scenario, Run>();
let shared: Promise<Stage> | undefined;

const onItsOwn = ({ stage, own }: Scenario): boolean => stage !== 'calm' || own === true;

/** Begins with the first test that asks, for all tests of the scenario. */
function runOf(scenario: Scenario): Run {
  const known = runs.get(scenario);
  if (known !== undefined) return known;
  if (!onItsOwn(scenario)) shared ??= Stage.open('calm');
  const run = play(scenario, partsOf(scenario, languages), crew, onItsOwn(scenario) ? undefined : shared);
  runs.set(scenario, run);
  return run;
}

const worded = (step: Step | undefined): string => (step === undefined ? 'opening' : JSON.stringify(step));

async function check(scenario: Scenario, part: Part): Promise<void> {
  const stop = await stopOf(runOf(scenario), part);
  const where =
    stop === undefined ? '' : `at step ${stop.step}, ${worded(scenario.steps[stop.step])}:\n${stop.why}`;
  if (part.without === undefined) {
    if (stop !== undefined) throw new Error(where);
    return;
  }
  if (stop === undefined)
    throw new Error(`nothing was missed in a client that ${knockouts[part.without].means}`);
  expect([scenario.steps[stop.step]?.shows ?? []].flat(), `caught elsewhere: ${where}`).toContain(
    part.without,
  );
}

const named = ({ language, without }: Part): string =>
  without === undefined ? `${language} does` : `${language} is caught when it ${knockouts[without].means}`;

const turns = new Turns(AT_ONCE);

describe.concurrent(`undisturbed${chosen}`, () => {
  for (const scenario of played.filter((one) => !onItsOwn(one))) {
    describe(scenario.name, () => {
      const begun = { turn: undefined as Promise<unknown> | undefined };
      const begin = () => {
        begun.turn ??= turns.take(() => Promise.allSettled(runOf(scenario).values()));
        return begun.turn;
      };
      for (const part of partsOf(scenario, languages)) {
        test.concurrent(named(part), async () => {
          await begin();
          await check(scenario, part);
        });
      }
    });
  }
});

describe(`disturbed${chosen}`, () => {
  for (const scenario of played.filter(onItsOwn)) {
    describe(scenario.name, () => {
      for (const part of partsOf(scenario, languages)) {
        test(named(part), () => check(scenario, part));
      }
    });
  }
});

afterAll(async () => {
  await crew.close();
  await (await shared)?.close();
});
