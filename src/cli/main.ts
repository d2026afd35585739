/** The entry of the `holdfast` command: caches compiled code, runs one command, ends with its exit code. */
import { enableCompileCache } from 'node:module';
import { text } from 'node:stream/consumers';

// Before anything else is loaded: each command is a process of its own and would compile it all again.
enableCompileCache();
const { dispatch } = await import('./dispatch.ts');

const LINGER_MS = 2000;

// Deprecations concern those who build this. Node would tell one of every TLS connection to an IP address, for gRPC gives
// it as the server's name, and put it between a command's own words.
process.noDeprecation = true;

// `holdfast list | head` closes the pipe early: that ends neither the command nor, with `serve`, the service.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

process.exitCode = await dispatch(process.argv.slice(2), {
  out: (line) => process.stdout.write(line),
  err: (line) => process.stderr.write(line),
  input: () => text(process.stdin),
});

// The command is done: a handle that somebody left open must not keep it from ending.
setTimeout(() => process.exit(), LINGER_MS).unref();
