/** One HTTP POST: what its answer means for another try, without following it anywhere, and without telling its address. */
import type { Tried } from './message.ts';

export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
  readonly nowMs: number;
  /** What the text of a good answer means, for services that say `200` and no. */
  readonly judge?: (text: string) => Tried;
}

/** Enough for an answer that says why; the rest is not read. */
const ANSWER_BYTES_MAX = 16_384;
/** Client errors that another try may mend. */
const WORTH_TRYING = new Set([408, 425, 429]);

export async function post({ url, headers, body, signal, nowMs, judge }: Post): Promise<Tried> {
  let response: Response;
  try {
    // A redirect is not followed: the body, and the way to sign it, are for the receiver that was named.
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'holdfast', ...headers },
      body,
      signal,
      redirect: 'manual',
    });
  } catch (error) {
    return { kind: 'again', why: signal.aborted ? 'no answer in time' : codeOf(error) };
  }
  if (response.ok && judge !== undefined) return judge(await opening(response));
  // The status says all: whoever drips a body must not get the message twice.
  response.body?.cancel().catch(() => {});
  if (response.ok) return { kind: 'delivered' };
  const why = `HTTP ${response.status}`;
  const { status } = response;
  if (status < 500 && !WORTH_TRYING.has(status)) return { kind: 'never', why };
  const afterMs = retryAfterMs(response.headers.get('retry-after'), nowMs);
  return { kind: 'again', why, ...(afterMs === undefined ? {} : { afterMs }) };
}

/** `ECONNREFUSED`...: fetch's own message may hold the address. */
function codeOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : 'connection failed';
}

/** What there is of the body when it ends, is cut off, or takes too long. */
async function opening({ body }: Response): Promise<string> {
  if (body === null) return '';
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    while (bytes < ANSWER_BYTES_MAX) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      bytes += value.byteLength;
    }
    await reader.cancel();
  } catch {
    // Cut off, or out of time.
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString('utf8');
}

/** Seconds, or a date. */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
