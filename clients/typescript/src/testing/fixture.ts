/** For vitest: a fake and a client of it for each test, gone when the test is over. */
import type { Holdfast, HoldfastOptions } from '../holdfast.ts';
import { FakeHoldfast, type FakeOptions } from './fake.ts';

/** What `test.extend(holdfastFixture())` adds to the context of a test. */
export interface HoldfastContext {
  readonly fake: FakeHoldfast;
  readonly holdfast: Holdfast;
}

type Use<Value> = (value: Value) => Promise<void>;

export interface HoldfastFixture {
  // biome-ignore lint/complexity/noBannedTypes: vitest gives a fixture an empty object where it asks for nothing.
  readonly fake: (context: {}, use: Use<FakeHoldfast>) => Promise<void>;
  readonly holdfast: (context: { readonly fake: FakeHoldfast }, use: Use<Holdfast>) => Promise<void>;
}

/**
 * `const test = base.extend<HoldfastContext>(holdfastFixture())`: then `test('...', async ({ fake, holdfast }) => ...)`.
 * Needs no vitest itself.
 */
export function holdfastFixture(
  options: { fake?: FakeOptions; client?: HoldfastOptions } = {},
): HoldfastFixture {
  return {
    // vitest reads the names that it takes apart here, so they must be written out.
    // biome-ignore lint/correctness/noEmptyPattern: it takes nothing apart.
    fake: async ({}, use) => {
      await using fake = await FakeHoldfast.start(options.fake);
      await use(fake);
    },
    holdfast: async ({ fake }, use) => {
      await use(fake.client(options.client));
    },
  };
}
