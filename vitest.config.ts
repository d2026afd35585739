/** Two projects: `fast` opens no socket, `real` starts redis-server processes. */
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
        },
      },
      {
        test: {
          name: 'real',
          include: [
            'test/contract/**/*.test.ts',
            'test/integration/**/*.test.ts',
            'test/fault/**/*.test.ts',
            'test/conformance/**/*.test.ts',
            'clients/typescript/test/real/**/*.test.ts',
          ],
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
