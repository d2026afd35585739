/** `holdfast inspect`: one resource, who holds it, what each node says, and its past. */
import { limits } from '../domain/limits.ts';
import type { InspectResponse__Output } from '../edge/gen/holdfast/v1/InspectResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import {
  CLIENT_OPTIONS,
  CLIENT_USAGE,
  type Command,
  onlyArgument,
  parseCommandLine,
  wholeFlag,
} from './command.ts';
import { exit } from './exit.ts';
import { columns, enumText, HOLDER_HEAD, holderRow, plain, section, spanText, when } from './format.ts';
import { durationMs } from './proto-json.ts';

const usage = `Usage: holdfast inspect RESOURCE [flags]

Shows who holds a resource, who waits in which order, what each node says, and its past.

      --history N        how many past events, newest first (default 0, at most 1000)
${CLIENT_USAGE}`;

function inspectText(seen: InspectResponse__Output): string {
  const state = enumText(seen.state, 'STATE');
  const source = enumText(seen.source, 'SOURCE');
  const token = seen.last_token === '0' ? '-' : seen.last_token;
  const facts = [
    ['resource', seen.resource],
    ['state', state],
    ['source', source],
    ['last token', token],
  ];
  const waiters = seen.waiters.map((waiter) => [
    String(waiter.position),
    waiter.owner,
    String(waiter.priority),
    enumText(waiter.mode, 'MODE'),
    when(waiter.since),
  ]);
  const nodes = seen.nodes.map((node) => [
    node.node,
    enumText(node.vote, 'VOTE'),
    node.lease_ref || '-',
    node.fence === '0' ? '-' : `${node.fence}${node.fence_closed ? ' closed' : ''}`,
    node.remaining === null ? '-' : spanText(durationMs(node.remaining)),
    node.detail,
  ]);
  const history = seen.history.map((event) => [
    when(event.time),
    enumText(event.type, 'EVENT_TYPE'),
    event.owner,
    event.lease_ref,
    event.fencing_token,
    event.reason,
  ]);
  return [
    columns(facts.map((row) => row.map(plain))),
    section(state === 'unknown' ? 'may be held by' : 'held by', HOLDER_HEAD, seen.holders.map(holderRow)),
    section('waiting', ['PLACE', 'OWNER', 'PRIORITY', 'MODE', 'SINCE'], waiters),
    section('nodes', ['NODE', 'VOTE', 'LEASE_REF', 'FENCE', 'REMAINING', 'DETAIL'], nodes),
    section('history', ['WHEN', 'EVENT', 'OWNER', 'LEASE_REF', 'TOKEN', 'REASON'], history),
  ].join('');
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, {
      ...CLIENT_OPTIONS,
      history: { type: 'string' },
    });
    const request = {
      resource: onlyArgument(positionals, 'RESOURCE'),
      history_limit:
        values.history === undefined ? 0 : wholeFlag('history', values.history, limits.historyMax),
    };
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ lock, ask }) =>
      ask<InspectResponse__Output>((done) => lock.Inspect(request, { deadline }, done)),
    );
    if (values.json) printJson(io, 'InspectResponse', answer);
    else io.out(inspectText(answer));
    return exit.ok;
  },
};
