/** Wraps the read that workers/calls-fs.ts makes: the only one that names no position by null. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { takeFault } from './commit.ts';

const { readSync } = fs;
fs.readSync = ((fd: number, buffer: Uint8Array, offset: number, length: number, position: number | null) => {
  const n = readSync(fd, buffer, offset, length, position);
  if (position === null && n > 0) takeFault();
  return n;
}) as typeof readSync;
syncBuiltinESMExports();
