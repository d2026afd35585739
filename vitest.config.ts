/** Three projects: `fast` opens no socket, `real` starts redis-server processes, `sim` simulates all of them. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: [
            'test/unit/**/*.test.ts',
            'test/tidy/**/*.test.ts',
            'clients/typescript/test/unit/**/*.test.ts',
          ],
          pool: 'forks',
          // Some enumerate for seconds, and share the machine.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'real',
          include: [
            'test/contract/**/*.test.ts',
            'test/integration/**/*.test.ts',
            'test/fault/**/*.test.ts',
            'test/model/**/*.test.ts',
            'test/conformance/**/*.test.ts',
            'test/torture/**/*.test.ts',
            'clients/typescript/test/real/**/*.test.ts',
          ],
          pool: 'forks',
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 120_000,
          // After the others: it takes every core it gets, and some of them wait for real time.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
