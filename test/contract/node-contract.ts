/** The contract of a lock node (src/nodes/node.ts, src/nodes/admin.ts) as one suite for every implementation. */
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { Caller } from './caller.ts';
import { adminContract } from './contract-admin.ts';
import { bindingContract } from './contract-bindings.ts';
import { gateContract } from './contract-gate.ts';
import { holdContract } from './contract-hold.ts';
import { lineContract } from './contract-line.ts';
import { markerContract } from './contract-markers.ts';
import { mendContract } from './contract-mend.ts';
import { readContract } from './contract-reads.ts';
import { releaseContract } from './contract-release.ts';
import { renewContract } from './contract-renew.ts';
import { sharedContract } from './contract-shared.ts';
import { takeoverContract } from './contract-takeover.ts';
import { tellingContract } from './contract-telling.ts';
import { waiterContract } from './contract-waiters.ts';
import type { UnderTest } from './under-test.ts';

/** Runs the whole suite over the one node that `open` gives; each test finds it empty and admitted. */
export function nodeContract(name: string, open: () => Promise<UnderTest>): void {
  describe(name, () => {
    let under: UnderTest | undefined;
    let caller: Caller | undefined;
    const node = (): Caller => {
      if (caller === undefined) throw new Error('a node is there only while a test runs');
      return caller;
    };

    beforeAll(async () => {
      under = await open();
      caller = new Caller(under);
    });
    beforeEach(() => node().reset());
    afterAll(() => under?.close());

    holdContract(node);
    markerContract(node);
    renewContract(node);
    bindingContract(node);
    releaseContract(node);
    readContract(node);
    gateContract(node);
    adminContract(node);
    takeoverContract(node);
    mendContract(node);
    sharedContract(node);
    lineContract(node);
    waiterContract(node);
    tellingContract(node);
  });
}
