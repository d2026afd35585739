/** What the file of HOLDFAST_ALERTS may say: its keys, and the range of each. */
import { z } from 'zod';
import { parseDurationMs } from '../../config/values.ts';
import { KINDS } from './alert.ts';

const CHANNELS_MAX = 16;
const CLASSES_MAX = 33;
const S = 1000;
const M = 60 * S;
const H = 60 * M;

function duration(minMs: number, maxMs: number, allowed: string) {
  const why = `must be ${allowed}, such as 30s, 15m or 24h`;
  return z.string({ error: why }).transform((text, context) => {
    const ms = parseDurationMs(text);
    if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
    context.addIssue({ code: 'custom', message: why });
    return z.NEVER;
  });
}

const text = (max: number) =>
  z
    .string({ error: 'must be a text' })
    .min(1, 'must not be empty')
    .max(max, `must have at most ${max} characters`)
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must be on one line');

const limit = duration(0, 9000 * H, 'a duration from 0s (never) to 9000h');
const limitsShape = {
  held_too_long: limit.optional(),
  max_silence: limit.optional(),
  starving: limit.optional(),
};
const className = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'is no class of HOLDFAST_CLASSES');

const common = {
  name: z
    .string({ error: 'must be a text' })
    .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9, _ and -, a letter first'),
  events: z
    .array(z.enum(KINDS, { error: `must be one of ${KINDS.join(', ')}` }))
    .min(1, 'must not be empty')
    .optional(),
  resolved: z.boolean({ error: 'must be true or false' }).optional(),
  timeout: duration(100, M, 'a duration from 100ms to 60s').optional(),
  give_up: duration(0, 24 * H, 'a duration from 0s to 24h').optional(),
};
const secret = { secret: text(512).optional(), secret_file: text(4096).optional() };
const address = { url: text(4096).optional(), url_file: text(4096).optional() };

const channel = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ ...common, kind: z.literal('webhook'), ...address, ...secret }),
    z.strictObject({ ...common, kind: z.literal('slack'), ...address }),
    z.strictObject({ ...common, kind: z.literal('dingtalk'), ...address, ...secret }),
    z.strictObject({
      ...common,
      kind: z.literal('smtp'),
      host: text(253),
      port: z
        .int({ error: 'must be a port' })
        .min(1, 'must be a port')
        .max(65_535, 'must be a port')
        .optional(),
      tls: z
        .enum(['starttls', 'implicit', 'none'], { error: 'must be starttls, implicit or none' })
        .optional(),
      user: text(256).optional(),
      password: text(512).optional(),
      password_file: text(4096).optional(),
      ca_file: text(4096).optional(),
      from: text(320),
      to: z.array(text(320)).min(1, 'must not be empty').max(50, 'must have at most 50 addresses'),
    }),
  ],
  { error: 'must be webhook, slack, dingtalk or smtp' },
);
export type ChannelText = z.infer<typeof channel>;

export const schema = z.strictObject(
  {
    thresholds: z
      .strictObject({
        ...limitsShape,
        by_class: z
          .record(className, z.strictObject(limitsShape))
          .refine((all) => Object.keys(all).length <= CLASSES_MAX, `must have at most ${CLASSES_MAX} classes`)
          .optional(),
      })
      .optional(),
    auth_failures_per_minute: z
      .int({ error: 'must be a whole number' })
      .min(1, 'must be at least 1')
      .optional(),
    repeat: duration(0, 744 * H, 'a duration from 0s (never) to 744h').optional(),
    group_wait: duration(0, M, 'a duration from 0s to 60s').optional(),
    group_interval: duration(0, H, 'a duration from 0s to 1h').optional(),
    source: text(64).optional(),
    runbooks: text(1024).optional(),
    channels: z.array(channel).max(CHANNELS_MAX, `must be at most ${CHANNELS_MAX}`).optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a map of keys' : undefined) },
);
export type FileText = z.infer<typeof schema>;
