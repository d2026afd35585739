/** Loaded into a replica: standard output throws at the line of a lease that was ended by force, and takes all others. */
const write = process.stdout.write.bind(process.stdout);

process.stdout.write = ((chunk: unknown, ...more: never[]) => {
  if (String(chunk).includes('was ended by force')) throw new Error('standard output is broken');
  return write(chunk as string, ...more);
}) as typeof process.stdout.write;
