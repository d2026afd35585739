/** Deadlocks in small pictures, one by one: who is part of one, who gives way, and what is said of it. */
import { describe, expect, test } from 'vitest';
import { cycleText, deadlock, deadlocked, type Picture, verdictOn } from '../../../src/locks/cycle.ts';
import { pictureOf, waiting } from './pictures.ts';

/** What each wait is told: the victim's owner and the cycle, or nothing. */
function told(picture: Picture): Record<string, string> {
  const ownerOf = new Map(picture.waits.map(({ id, owner }) => [id, owner]));
  const words = picture.waits.flatMap(({ id, owner }) => {
    const verdict = verdictOn(picture, id);
    if (verdict === undefined) return [];
    expect(verdict.cycle[0]?.owner).toBe(ownerOf.get(verdict.victim));
    return [[owner, cycleText(verdict.cycle)]];
  });
  return Object.fromEntries(words);
}

/** The same verdict for each of these owners. */
const all = (owners: string, cycle: string): Record<string, string> =>
  Object.fromEntries(owners.split(' ').map((owner) => [owner, cycle]));

const shared = { mode: 'shared' } as const;

describe('a cycle', () => {
  test('of one: who waits for what its owner holds, also to write what it reads', () => {
    expect(told(pictureOf({ a: 'w1' }, waiting('w1', 'a')))).toEqual({ w1: 'w1 -> a -> w1' });
    expect(told(pictureOf({ a: 'w1~' }, waiting('w1', 'a')))).toEqual({ w1: 'w1 -> a -> w1' });
    expect(told(pictureOf({ a: 'w1~' }, waiting('w1', 'a', shared)))).toEqual({});
    expect(told(pictureOf({ b: 'w1' }, waiting('w1', 'a b')))).toEqual({ w1: 'w1 -> b -> w1' });
  });

  test('of two and of three has one victim, the youngest, whoever of them asks', () => {
    expect(told(pictureOf({ a: 'w1', b: 'w2' }, waiting('w1', 'b'), waiting('w2', 'a')))).toEqual(
      all('w1 w2', 'w2 -> a -> w1 -> b -> w2'),
    );
    expect(
      told(
        pictureOf(
          { a: 'w1', b: 'w2', c: 'w3' },
          waiting('w1', 'b'),
          waiting('w2', 'c', { ticket: 9 }),
          waiting('w3', 'a'),
        ),
      ),
    ).toEqual(all('w1 w2 w3', 'w2 -> c -> w3 -> a -> w1 -> b -> w2'));
  });

  test('of equally young waits has the one with the highest id as victim', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2' },
      waiting('w1', 'b', { ticket: 5, order: 1, id: 'z' }),
      waiting('w2', 'a', { ticket: 5, order: 2, id: 'y' }),
    );
    expect(verdictOn(picture, 'y')?.victim).toBe('z');
    expect(verdictOn(picture, 'z')?.victim).toBe('z');
  });

  test('has as its victim the reader that comes again behind a writer, though the writer is younger', () => {
    // A writer of higher priority stands ahead. What the reader seems to hold may be a vote that is being undone.
    const picture = pictureOf(
      { a: 'reader~' },
      waiting('reader', 'a', { ...shared, ticket: 1, order: 5 }),
      waiting('writer', 'a', { ticket: 2, order: 3 }),
    );
    expect(told(picture)).toEqual(all('reader writer', 'reader -> a -> writer -> a -> reader'));
  });

  test('is none while one of its owners does not wait, or holds nothing that another wants', () => {
    expect(told(pictureOf({ a: 'w1', b: 'w2' }, waiting('w1', 'b')))).toEqual({});
    expect(told(pictureOf({ a: 'w1', b: 'w2' }, waiting('w1', 'b'), waiting('w2', 'c')))).toEqual({});
    expect(told(pictureOf({}, waiting('w1', 'a b'), waiting('w2', 'b a')))).toEqual({});
  });

  test('is told as its shortest way round', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2', c: 'w3' },
      waiting('w1', 'b'),
      waiting('w3', 'a'),
      waiting('w2', 'c a'),
    );
    expect(told(picture)).toEqual(all('w1 w2 w3', 'w2 -> a -> w1 -> b -> w2'));
  });

  test('is told by ways that are shut, though one round a wait that can go on is shorter', () => {
    const picture = pictureOf(
      { p: 'x', q: 'y', r: 'v', s: 'z' },
      waiting('x', 'free r', { any: 1 }),
      waiting('y', 's'),
      waiting('z', 'r'),
      waiting('v', 'p q'),
    );
    expect(told(picture)).toEqual(all('y z v', 'v -> q -> y -> s -> z -> r -> v'));
  });

  test('stands beside another one, each with a victim of its own', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2', c: 'w3', d: 'w4' },
      waiting('w1', 'b'),
      waiting('w2', 'a'),
      waiting('w3', 'd'),
      waiting('w4', 'c'),
    );
    expect(told(picture)).toEqual({
      ...all('w1 w2', 'w2 -> a -> w1 -> b -> w2'),
      ...all('w3 w4', 'w4 -> c -> w3 -> d -> w4'),
    });
  });

  test('has as its victim the one that waits for itself, where there is such, though it is not the youngest', () => {
    const picture = pictureOf({ a: 'w1', b: 'w2' }, waiting('w1', 'a b'), waiting('w2', 'a'));
    expect(told(picture)).toEqual(all('w1 w2', 'w1 -> a -> w1'));
  });

  test('goes through every wait of an owner that waits twice', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2' },
      waiting('w1', 'b', { id: 'one' }),
      waiting('w1', 'c', { id: 'two' }),
      waiting('w2', 'a'),
    );
    expect([...deadlocked(picture)]).toEqual(['one', 'of w2']);
    expect(told(picture)).toEqual(all('w1 w2', 'w2 -> a -> w1 -> b -> w2'));
  });
});

describe('a wait for any of several', () => {
  const ring = (more: Readonly<Record<string, string>>, wanted: string, any: number): Picture =>
    pictureOf(
      { a: 'w1', b: 'w2', ...more },
      waiting('w1', wanted, { any }),
      waiting('w2', 'a'),
      waiting('w3', 'a'),
    );

  test('is in no deadlock while another way may open', () => {
    expect(told(ring({ c: 'w4' }, 'b c', 1))).toEqual({});
    expect(told(ring({}, 'b c', 1))).toEqual({});
    expect(told(pictureOf({ a: 'w1' }, waiting('w1', 'a b', { any: 1 })))).toEqual({});
  });

  test('is in one when all its ways are shut, and the cycle goes through one of them', () => {
    expect(told(ring({ c: 'w3' }, 'b c', 1))).toEqual(all('w1 w2 w3', 'w3 -> a -> w1 -> c -> w3'));
    expect(told(pictureOf({ a: 'w1', b: 'w1' }, waiting('w1', 'a b', { any: 1 })))).toEqual({
      w1: 'w1 -> a -> w1',
    });
  });

  test('needs as many ways as it asks for', () => {
    expect(told(ring({ c: 'w4', d: 'w5' }, 'b c d', 2))).toEqual({});
    expect(told(ring({ c: 'w3', d: 'w5' }, 'b c d', 1))).toEqual({});
    expect(told(ring({ c: 'w3', d: 'w5' }, 'b c d', 2))).toEqual(all('w1 w2 w3', 'w3 -> a -> w1 -> c -> w3'));
  });

  test('does not give way where only the deadlock of others shuts its other way', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2', c: 'w8', d: 'w9' },
      waiting('w8', 'd'),
      waiting('w9', 'c'),
      waiting('w1', 'b c', { any: 1 }),
      waiting('w2', 'a'),
    );
    expect([...deadlocked(picture)]).toEqual(['of w8', 'of w9', 'of w1', 'of w2']);
    expect(told(picture)).toEqual(all('w8 w9', 'w9 -> c -> w8 -> d -> w9'));
  });
});

describe('the line', () => {
  test('closes a cycle where a gang stands ahead of the owner it waits for', () => {
    const gang = waiting('x', 'a b');
    expect(told(pictureOf({ a: 'o' }, gang, waiting('o', 'b')))).toEqual(all('x o', 'o -> b -> x -> a -> o'));
    expect(told(pictureOf({ a: 'o' }, waiting('o', 'b'), gang))).toEqual({});
  });

  test('lets readers pass readers, and no reader pass a writer', () => {
    const readers = [waiting('x', 'a b', shared), waiting('o', 'b', shared)];
    expect(told(pictureOf({ a: 'o', b: 'r~' }, ...readers))).toEqual({});
    expect(told(pictureOf({ a: 'o~', b: 'o~' }, waiting('x', 'a b', shared)))).toEqual({});
    const [reader, late] = [waiting('x', 'a', shared), waiting('o', 'b', shared)];
    expect(told(pictureOf({ a: 'o', b: 'x~' }, reader, late))).toEqual({});
    expect(told(pictureOf({ a: 'o', b: 'x~' }, reader, waiting('writer', 'b'), late))).toEqual(
      all('x writer o', 'o -> b -> writer -> b -> x -> a -> o'),
    );
  });

  test('makes nobody part of a deadlock that is merely ahead', () => {
    const picture = pictureOf(
      { a: 'w1', b: 'w2', c: 'w4' },
      waiting('w1', 'b'),
      waiting('w2', 'a'),
      waiting('w3', 'a'),
      waiting('w4', 'a'),
      waiting('w5', 'c'),
    );
    expect(deadlocked(picture).size).toBe(5);
    expect(told(picture)).toEqual(all('w1 w2', 'w2 -> a -> w1 -> b -> w2'));
  });

  test('is all ahead of a wait that has no place in it yet', () => {
    const { waits, resources } = pictureOf({ a: 'o' }, waiting('o', 'b'), waiting('x', 'a b'));
    const unplaced = new Map([...resources, ['b', { holders: [], line: ['of x', 'unknown'] }]]);
    expect(told({ waits, resources: unplaced })).toEqual(all('x o', 'x -> a -> o -> b -> x'));
  });
});

describe('the refusal', () => {
  const links = [
    { owner: 'w1', resource: 'gpu/0' },
    { owner: 'a -> b, "c"', resource: 'gpu/1' },
  ];

  test('says the cycle for people, and for programs whatever the names are', () => {
    const { reason, message, metadata } = deadlock(links);
    expect(reason).toBe('DEADLOCK');
    expect(message).toContain('w1 -> gpu/0 -> a -> b, "c" -> gpu/1 -> w1');
    expect(JSON.parse(metadata.owners!)).toEqual(links.map(({ owner }) => owner));
    expect(JSON.parse(metadata.resources!)).toEqual(links.map(({ resource }) => resource));
    expect(metadata.links).toBe('2');
  });

  test('has whole arrays of equal length even where not all of a cycle fits', () => {
    const long = Array.from({ length: 8 }, (_, at) => ({ owner: 'ö'.repeat(64), resource: `r${at}` }));
    const { metadata } = deadlock(long);
    const owners = JSON.parse(metadata.owners!) as string[];
    expect(owners.length).toBe(3);
    expect(JSON.parse(metadata.resources!)).toEqual(['r0', 'r1', 'r2']);
    expect(metadata.links).toBe('8');
    const names = Array.from({ length: 8 }, (_, at) => ({ owner: `w${at}`, resource: 'r'.repeat(200) }));
    expect(JSON.parse(deadlock(names).metadata.owners!)).toEqual(['w0', 'w1']);
    expect(deadlock([{ owner: '語'.repeat(256), resource: 'r' }]).metadata.owners).toBe('[]');
  });
});
