/** `holdfast status`: one replica and its nodes, also without a majority. */
import type { StatusResponse__Output } from '../edge/gen/holdfast/v1/StatusResponse.ts';
import { deadlineOf, printJson, withService } from './call.ts';
import { CLIENT_OPTIONS, CLIENT_USAGE, type Command, noArguments, parseCommandLine } from './command.ts';
import { exit } from './exit.ts';
import { columns, enumText, plain, section, spanText } from './format.ts';
import { durationMs } from './proto-json.ts';

const usage = `Usage: holdfast status [flags]

Shows the replica that answers and its lock nodes. Exit 0 if it answers, also
without a majority: \`holdfast health\` asks whether it can serve.
${CLIENT_USAGE}`;

type Span = Parameters<typeof durationMs>[0] | null;

function millis(span: Span): string {
  return span === null ? '-' : `${durationMs(span).toFixed(1)}ms`;
}

function marginText(margin: number): string {
  if (margin < 0)
    return `${margin}: NO MAJORITY, ${-margin} more ready node${margin === -1 ? '' : 's'} needed`;
  return margin === 0 ? '0: the next loss stops the service' : `${margin}: so many more nodes may be lost`;
}

function statusText(status: StatusResponse__Output): string {
  const facts = [
    ['version', status.version],
    ['store', status.embedded ? 'embedded: this one process, not durable' : 'redis'],
    ['margin', marginText(status.quorum_margin)],
    ['draining', status.draining ? 'yes' : 'no'],
  ];
  const nodes = status.nodes.map((node) => [
    node.node,
    enumText(node.state, 'NODE_STATE'),
    millis(node.vote_latency),
    millis(node.clock_offset),
    node.quarantine_left === null ? '-' : spanText(durationMs(node.quarantine_left)),
    node.floor || '-',
    node.detail,
  ]);
  const warnings = status.warnings.map((text) => `\nWARNING: ${plain(text)}\n`).join('');
  const head = ['NODE', 'STATE', 'LATENCY', 'CLOCK', 'QUARANTINE', 'FLOOR', 'DETAIL'];
  return columns(facts.map((row) => row.map(plain))) + section('nodes', head, nodes) + warnings;
}

export const command: Command = {
  usage,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, CLIENT_OPTIONS);
    noArguments(positionals);
    const deadline = deadlineOf(values);
    const answer = await withService(values, ({ admin, ask }) =>
      ask<StatusResponse__Output>((done) => admin.Status({}, { deadline }, done)),
    );
    if (values.json) printJson(io, 'StatusResponse', answer);
    else io.out(statusText(answer));
    return exit.ok;
  },
};
