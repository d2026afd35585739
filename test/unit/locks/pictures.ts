/** Pictures of who holds and who waits, in few words. */
import type { Claims, Hold, Picture, Wait } from '../../../src/locks/cycle.ts';

export type Asked = Partial<Wait> & Pick<Wait, 'owner' | 'resources'>;

export const waiting = (owner: string, resources: string, more: Partial<Wait> = {}): Asked => ({
  owner,
  resources: resources.split(' '),
  ...more,
});

/** Holders as `a: 'w1'`, shared ones as `a: 'w1~ w2~'`; each wait is younger than the one before and stands behind it. */
export function pictureOf(holds: Readonly<Record<string, string>>, ...asked: readonly Asked[]): Picture {
  const waits = asked.map((one, index): Wait => {
    const ticket = one.ticket ?? index + 1;
    return { id: `of ${one.owner}`, mode: 'exclusive', any: 0, ticket, order: ticket, ...one };
  });
  const names = new Set([...Object.keys(holds), ...waits.flatMap(({ resources }) => resources)]);
  const claimsOn = (name: string): Claims => ({
    holders: (holds[name] ?? '').split(' ').filter(Boolean).map(holdOf),
    line: waits
      .filter(({ resources }) => resources.includes(name))
      .sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id),
  });
  return { waits, resources: new Map([...names].map((name) => [name, claimsOn(name)])) };
}

const holdOf = (text: string): Hold =>
  text.endsWith('~') ? { owner: text.slice(0, -1), mode: 'shared' } : { owner: text, mode: 'exclusive' };
