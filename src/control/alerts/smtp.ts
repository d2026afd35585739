/** One mail a message, over a connection of its own that ends with the try. */
import { connect } from 'node:net';
import type { Secret } from '../../config/secret.ts';
import { linesOf, type Message, type Send, titleOf } from './message.ts';

export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  /** `starttls` is demanded, not offered; `none` is for a relay on this machine. */
  readonly tls: 'starttls' | 'implicit' | 'none';
  readonly login: { readonly user: string; readonly password: Secret } | undefined;
  /** PEM of whoever signed the server's certificate, where that is nobody public. */
  readonly ca: string | undefined;
  readonly from: string;
  readonly to: readonly string[];
}

export function textOf(message: Message): string {
  const facts = message.alerts.map(({ summary, timeMs, facts: each }) =>
    [
      `- ${summary}`,
      `    time: ${new Date(timeMs).toISOString()}`,
      ...Object.entries(each).map(([name, value]) => `    ${name}: ${value}`),
    ].join('\n'),
  );
  const more = linesOf(message).length > facts.length ? [`and ${message.count - facts.length} more`] : [];
  const head = `${titleOf(message)}\n${message.severity}, ${message.status}`;
  return `${[head, ...facts, ...more, `What to do: ${message.runbook}`].join('\n\n')}\n`;
}

/** SMTP says with 5xx that the same mail will never be taken, and with 4xx that it may be later. */
function failure(error: unknown): Awaited<ReturnType<Send>> {
  const { responseCode, code } = error as { responseCode?: unknown; code?: unknown };
  if (typeof responseCode === 'number') {
    return { kind: responseCode >= 500 ? 'never' : 'again', why: `SMTP ${responseCode}` };
  }
  return { kind: 'again', why: typeof code === 'string' ? code : 'connection failed' };
}

/** `timeoutMs` is every step's bound; the signal is that of all together. */
export function smtp(server: SmtpServer, timeoutMs: number): Send {
  const { host, port, tls, login, ca, from, to } = server;
  return async (message, signal) => {
    // Loaded by whoever sends mails: most services send none.
    const { createTransport } = await import('nodemailer');
    // On a busy machine that may take a try's whole time: a mail sent after it would be one that comes twice.
    if (signal.aborted) return { kind: 'again', why: 'no answer in time' };
    const socket = connect({ host, port });
    // nodemailer lets go of a connection when it has an answer, and not because nobody waits for one.
    signal.addEventListener('abort', () => socket.destroy(new Error('no answer in time')));
    socket.on('error', () => {});
    const transport = createTransport({
      host,
      port,
      secure: tls === 'implicit',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'none',
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(ca === undefined ? {} : { tls: { ca } }),
      ...(login === undefined ? {} : { auth: { user: login.user, pass: login.password.reveal() } }),
      getSocket: (_options, use) => {
        const failed = (error: Error): void => use(error, {});
        socket.once('error', failed);
        socket.once('connect', () => {
          socket.off('error', failed);
          use(null, { connection: socket });
        });
      },
    });
    try {
      await transport.sendMail({
        from,
        to: [...to],
        subject: titleOf(message),
        text: textOf(message),
        date: new Date(message.timeMs),
        // The same for every try: a mailbox shows what came twice once.
        messageId: `<${message.id}@holdfast>`,
      });
      return { kind: 'delivered' };
    } catch (error) {
      return failure(error);
    } finally {
      transport.close();
      socket.end();
    }
  };
}
