/** `holdfast watch`: tells what happens to locks, a line an event, until it is interrupted. */
import type { Event__Output } from '../edge/gen/holdfast/v1/Event.ts';
import type { WatchResponse__Output } from '../edge/gen/holdfast/v1/WatchResponse.ts';
import { follow, printJson, withService } from './call.ts';
import { type Command, type Io, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';
import { enumText, plain } from './format.ts';
import { timeMs } from './proto-json.ts';

const usage = `Usage: holdfast watch [RESOURCE...] [flags]

Tells what happens from now on, to these resources or to all, a line an event: time,
type, resource, owner, token, reason. Ends when it is interrupted: exit 0. Best
effort: what was missed is counted, and \`holdfast inspect\` has the truth.

      --prefix TEXT      and to all names that begin with this
      --address ADDRESS  whom to call: HOST:PORT or unix:/path
                         (HOLDFAST_ADDRESS, default 127.0.0.1:7420)
      --json             one JSON object a line: an event, or {"missed":N}
`;

const OPTIONS = {
  address: { type: 'string' },
  json: { type: 'boolean' },
  prefix: { type: 'string' },
} as const;

/** As wide as the longest type, so that resources stand below each other. */
const TYPE_WIDTH = 'released'.length;

function eventText({ time, type, resource, owner, fencing_token, reason }: Event__Output): string {
  const at = time === null ? '-' : new Date(timeMs(time)).toISOString();
  const token = fencing_token === '0' ? '-' : fencing_token;
  const cells = [at, enumText(type, 'EVENT_TYPE').padEnd(TYPE_WIDTH), resource, owner || '-', token, reason];
  return `${plain(cells.join('  ')).trimEnd()}\n`;
}

function tell(io: Io, { events, missed }: WatchResponse__Output, json: boolean): void {
  if (missed > 0 && json) io.out(`${JSON.stringify({ missed })}\n`);
  else if (missed > 0) io.err(`MISSED ${missed}: \`holdfast inspect\` tells how things stand\n`);
  for (const event of events) {
    if (json) printJson(io, 'Event', event);
    else io.out(eventText(event));
  }
}

/** Ctrl-C, the end of a container, or a reader such as \`head\` that has seen enough. */
function interruption(): { readonly came: Promise<void>; forget(): void } {
  let forget = (): void => {};
  const came = new Promise<void>((resolve) => {
    const hear = (): void => resolve();
    process.on('SIGINT', hear).on('SIGTERM', hear);
    process.stdout.on('error', hear);
    forget = () => {
      process.off('SIGINT', hear).off('SIGTERM', hear);
      process.stdout.off('error', hear);
    };
  });
  return { came, forget };
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS);
    const request = { resources: positionals, prefix: values.prefix ?? '' };
    const { came, forget } = interruption();
    try {
      await withService(values, ({ lock }) =>
        follow<WatchResponse__Output>(lock.Watch(request), came, (news) =>
          tell(io, news, values.json === true),
        ),
      );
    } finally {
      forget();
    }
    return exit.ok;
  },
};
