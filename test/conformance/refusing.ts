/** A service that refuses every acquire with one reason, which the real one has no cause to give here. */
import type { Filter } from './wire.ts';

export interface Refusing {
  readonly reason: string;
  readonly code: number;
}

export function refusing({ reason, code }: Refusing): Filter {
  return {
    result: (result, asked) => {
      if (!asked?.acquire) return;
      const metadata = { by: 'the wire' };
      result.acquire = null;
      result.error = {
        code,
        reason,
        message: `${reason}: refused`,
        metadata,
        retry_after: { seconds: 2, nanos: 0 },
      };
    },
  };
}
