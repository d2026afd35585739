/** Messages as Slack and DingTalk want them, with names escaped: nobody's owner name calls a channel or makes a link. */
import { createHmac } from 'node:crypto';
import type { Secret } from '../../config/secret.ts';
import type { Clock } from '../../std/clock.ts';
import { linesOf, type Message, type Send, type Tried, titleOf } from './message.ts';
import { post } from './post.ts';

/** Slack cuts a header at 150 and refuses a section above 3,000 characters. */
const SLACK_HEADER_MAX = 150;
const SLACK_SECTION_MAX = 2900;
/** DingTalk's bound is 20,000 bytes for a whole message. */
const DINGTALK_TEXT_MAX = 5000;

const MARKS = { info: '🔵', warning: '🟠', critical: '🔴' } as const;

function markOf({ status, severity }: Message): string {
  return status === 'resolved' ? '🟢' : MARKS[severity];
}

/** As many whole lines as fit. */
function within(lines: readonly string[], max: number): string {
  let text = '';
  for (const [at, line] of lines.entries()) {
    const more = `\nand ${lines.length - at} more`;
    if (text.length + 1 + line.length + more.length > max) return text + more;
    text += `${at === 0 ? '' : '\n'}${line}`;
  }
  return text;
}

export function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

export function slackBody(message: Message): string {
  const title = `${markOf(message)} ${titleOf(message)}`;
  // Names stand in plain text only: there is no escape for stars and underscores in Slack's markup.
  const plain = (text: string) => ({ type: 'plain_text', text, emoji: false });
  const lines = within(
    linesOf(message).map((line) => `• ${line}`),
    SLACK_SECTION_MAX,
  );
  return JSON.stringify({
    // What notifications show; read as markup.
    text: escapeSlack(title),
    blocks: [
      { type: 'header', text: plain(title.slice(0, SLACK_HEADER_MAX)) },
      { type: 'section', text: plain(lines) },
      { type: 'context', elements: [plain(`${message.severity}, ${message.runbook}`)] },
    ],
  });
}

/** `url` is the secret: whoever knows it can write. */
export function slack(url: Secret, clock: Clock): Send {
  return (message, signal) =>
    post({
      url: url.reveal(),
      headers: {},
      body: slackBody(message),
      signal,
      nowMs: clock.wallMicros() / 1000,
    });
}

export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!<>|~&]/g, '\\$&');
}

export function dingtalkBody(message: Message): string {
  const title = titleOf(message);
  const lines = within(
    linesOf(message).map((line) => `- ${escapeMarkdown(line)}`),
    DINGTALK_TEXT_MAX,
  );
  const foot = escapeMarkdown(`${message.severity}, ${message.runbook}`);
  const text = `### ${markOf(message)} ${escapeMarkdown(title)}\n\n${lines}\n\n${foot}`;
  return JSON.stringify({ msgtype: 'markdown', markdown: { title, text } });
}

/** The address with DingTalk's own signature: HMAC-SHA256 of time and secret. */
export function signedUrl(url: string, secret: string, nowMs: number): string {
  const timestamp = String(Math.floor(nowMs));
  const sign = createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64');
  const signed = new URL(url);
  signed.searchParams.set('timestamp', timestamp);
  signed.searchParams.set('sign', sign);
  return signed.href;
}

/** Busy, too many in a minute. */
const DINGTALK_LATER = new Set([-1, 130_101, 410_100]);

/** It answers 200 to everything, and says in the body what it thinks. */
function judgeDingtalk(text: string): Tried {
  let code: unknown;
  try {
    code = (JSON.parse(text) as { errcode?: unknown }).errcode;
  } catch {
    return { kind: 'again', why: 'an answer without errcode' };
  }
  if (code === 0) return { kind: 'delivered' };
  const why = `errcode ${Number(code)}`;
  return DINGTALK_LATER.has(Number(code)) ? { kind: 'again', why } : { kind: 'never', why };
}

export function dingtalk(url: Secret, secret: Secret | undefined, clock: Clock): Send {
  return (message, signal) => {
    const nowMs = clock.wallMicros() / 1000;
    const address = url.reveal();
    return post({
      url: secret === undefined ? address : signedUrl(address, secret.reveal(), nowMs),
      headers: {},
      body: dingtalkBody(message),
      signal,
      nowMs,
      judge: judgeDingtalk,
    });
  };
}
