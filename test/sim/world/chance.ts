/** Seeded generators by name, so that leaving one part of a run out changes nothing for the others. */
import { SeededRandom } from '../../../src/std/random.ts';

export class Chance extends SeededRandom {
  constructor(seed: number, name: string) {
    super(mixed(seed, name));
  }

  happens(share: number): boolean {
    return share > 0 && this.fraction() < share;
  }

  between([least, most]: readonly [number, number]): number {
    return least + this.fraction() * (most - least);
  }

  whole(range: readonly [number, number]): number {
    return Math.floor(this.between([range[0], range[1] + 1]));
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.fraction() * list.length)]!;
  }

  /** `count` of them, in their order. */
  some<T>(list: readonly T[], count: number): T[] {
    const left = [...list.keys()];
    while (left.length > count) left.splice(Math.floor(this.fraction() * left.length), 1);
    return left.map((index) => list[index]!);
  }
}

/** FNV-1a over the name, from the seed. */
function mixed(seed: number, name: string): number {
  let mix = seed ^ 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) {
    mix = Math.imul(mix ^ name.charCodeAt(index), 0x01000193);
  }
  return Math.imul(mix ^ (mix >>> 15), 0x85ebca6b) >>> 0;
}
