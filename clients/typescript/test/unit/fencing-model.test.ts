/** Fenced files under every order of their steps: writers that are paused anywhere, killed anywhere, or too late. */
import { describe, expect, it } from 'vitest';
import { fencesIn, fileOf, newestIn } from '../../src/fencing/names.ts';
import type { claiming, Draft, Steps } from '../../src/fencing/steps.ts';
import { claimedBy, settled } from './fencing-folder.ts';
import {
  type Breakage,
  claimer,
  type Participant,
  publisher,
  reader,
  type Scene,
  type Search,
  searchAll,
  sweeper,
  type World,
  writer,
} from './fencing-world.ts';

const tokenOf = (content: string | undefined): bigint => BigInt(/whole-(\d+)/.exec(content ?? '')?.[1] ?? 0);

/** Once a claim has returned, no older token publishes; what is there is never older than what was there. */
function neverLate(by: Participant, { points, folder }: World, { participants }: Scene): string | undefined {
  const later = participants.findIndex((one, index) => one.token > by.token && points[index]!.claimed);
  if (later >= 0) return `${by.name} publishes after ${participants[later]!.name} has claimed`;
  return tokenOf(folder.path) > by.token ? `${by.name} takes the place of a newer file` : undefined;
}

/**
 * What is published is whole, and everybody can tell at once who has published it. If everybody were killed here, then who
 * looks at the published file, or else the next who claims it, clears up after them.
 */
function soundAtAnyMoment({ folder }: World): string | undefined {
  if (folder.path !== undefined && !folder.path.startsWith('whole-')) return 'half a file is published';
  const seen = settled(folder);
  if (seen.token !== (tokenOf(folder.path) || undefined)) {
    return `${folder.path} is taken for one of token ${seen.token}`;
  }
  const next = folder.path === undefined ? claimedBy(9n, folder) : seen.folder;
  const names = Object.keys(next.files);
  const newest = newestIn(names);
  // One that claimed after the publication may still replace the file, for all that can be known.
  const dead = names.filter((name) => (fileOf(name) ?? newest) < newest);
  const twice = names.filter((name) => fileOf(name) !== undefined && next.files[name] === next.path);
  return dead.length + twice.length > 0 ? `left over by a killed one: ${dead} ${twice}` : undefined;
}

/** Nobody was killed: nothing but the file, its fence, and the newest one is left. */
function nothingLeft({ folder }: World): string | undefined {
  const names = Object.keys(folder.files);
  const files = names.filter((name) => fileOf(name) !== undefined);
  const [newest, ...others] = fencesIn(names);
  const extra = others.filter((token) => token !== tokenOf(folder.path));
  return files.length + extra.length > 0 ? `left over: ${files} ${extra}; newest ${newest}` : undefined;
}

/** A claim with the wrong order: older fences first, files after them. */
function* hasty({ token, part }: Draft): Steps<bigint | undefined> {
  yield { do: 'fence', token };
  const names = (yield { do: 'list' }) as readonly string[];
  for (const old of fencesIn(names)) if (old < token) yield { do: 'remove', name: String(old) };
  for (const name of names) if ((fileOf(name) ?? token) < token) yield { do: 'remove', name };
  yield { do: 'create', name: part };
  return undefined;
}

/** Some hundred thousand worlds each. */
const patient = { timeout: 60_000 };

const promises = { onPlace: neverLate, always: soundAtAnyMoment };

describe.each([
  { how: 'published once', replace: false },
  { how: 'replaced', replace: true },
])('a file that is $how', patient, ({ replace }) => {
  it('is never late, half or without its token, and nothing is left over, whoever is killed where', () => {
    const participants = [writer(1n, replace), writer(2n, replace)];
    const search = searchAll({ participants, ...promises, atEnd: nothingLeft });
    expect(search.broken).toBeUndefined();
    expect(search.states).toBeGreaterThan(1000);
    expect([...search.ends]).toEqual(
      expect.arrayContaining([
        'writer 1 stale, writer 2 published',
        'writer 1 stale at its claim, writer 2 published',
      ]),
    );
  });

  it('shows its token to a reader that looks at any moment', () => {
    const before = { path: 'whole-1', files: { 1: 'whole-1' } };
    const from = replace ? before : {};
    const search = searchAll({ participants: [writer(2n, replace), reader()], from });
    expect([...search.ends].filter((end) => end.includes('nobody'))).toEqual([]);
    expect([...search.ends]).toContain('writer 2 published, reader whole-2.a.part by 2');
  });
});

describe('a publication that was paused while two others claimed', patient, () => {
  const late = (claim?: typeof claiming): Search =>
    searchAll({
      participants: [publisher(1n), claimer(2n, claim), claimer(3n, claim)],
      onPlace: neverLate,
      over: ({ points: [late] }) => late!.turn.done === true,
    });

  it('is not late, even if their fences come and go while it lists them', () => {
    const { broken, ends } = late();
    expect(broken).toBeUndefined();
    expect([...ends]).toContain('publisher 1 late, claimer 2 claimed, claimer 3 claimed');
  });

  it('would be late if fences went before the files', () => {
    expect(late(hasty).broken).toMatch(/publisher 1 publishes after claimer 2 has claimed/);
  });
});

describe('a look at a published file that clears up', patient, () => {
  const from = { path: 'whole-1', files: { 1: 'whole-1' } };

  it('disturbs no writer', () => {
    const { broken, ends } = searchAll({ participants: [writer(2n, true), sweeper()], from, ...promises });
    expect(broken).toBeUndefined();
    expect([...ends]).toEqual(['writer 2 published, sweeper swept']);
  });

  it('lets no late one through', () => {
    const participants = [publisher(1n), claimer(2n), sweeper()];
    const over: Scene['over'] = ({ points: [late] }) => late!.turn.done === true;
    expect(searchAll({ participants, from, onPlace: neverLate, over }).broken).toBeUndefined();
  });
});

describe('each rule is needed', patient, () => {
  const knockedOut = (breakage: Breakage): string | undefined =>
    searchAll({ participants: [writer(1n, true), writer(2n, true)], breakage, ...promises }).broken;

  it('without the look at the fences before a publication a late one gets through', () => {
    const blind: Breakage = (step, { token }, told) =>
      step.do === 'list' && told.includes(true) && token === 1n ? { answer: [] } : undefined;
    expect(knockedOut(blind)).toMatch(/publishes after writer 2 has claimed/);
  });

  it('without the removal of older files a late one gets through', () => {
    const lenient: Breakage = (step) =>
      step.do === 'remove' && step.name.endsWith('.ready') ? { answer: undefined } : undefined;
    expect(knockedOut(lenient)).toMatch(/publishes after writer 2 has claimed/);
  });

  it('without the record before a publication nobody could tell its token', () => {
    const forgetful: Breakage = (step) => (step.do === 'record' ? { answer: true } : undefined);
    expect(knockedOut(forgetful)).toMatch(/is taken for one of token undefined/);
  });
});
