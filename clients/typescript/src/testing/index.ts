/** `@holdfast/client/testing`: an in-process fake of the service for the tests of those who use the client. */
export { ManualClock } from './clock.ts';
export type { Call, CallName, OrderedRefusal } from './desk.ts';
export { type Ending, FakeHoldfast, type FakeOptions, type Somebody } from './fake.ts';
export { type HoldfastContext, type HoldfastFixture, holdfastFixture } from './fixture.ts';
export type { Holder, Lease as FakeLease, Mode, Waiter } from './model.ts';
export type { LostWhy, Reason } from './refusals.ts';
