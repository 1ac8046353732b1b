/**
 * What `compare --on` and the agent on the other host (host-agent.ts) say to each other, a line of JSON each: the agent
 * its Hello, then compare questions and the agent an answer to each.
 */
import { z } from 'zod';
import { type Command, ROOT } from '../programs.ts';
import { EnvironmentInfo } from './types.ts';

export const Hello = z.object({
  program: z.string(),
  address: z.union([z.ipv4(), z.ipv6()]).describe('That ssh has reached, and its servers listen on.'),
  port: z.int().min(1).max(65_535).describe('Where it accepts connections, to measure the round trip.'),
  environment: EnvironmentInfo,
});
export type Hello = z.infer<typeof Hello>;

export type Question =
  | { ask: 'start'; label: string; command: Command }
  | { ask: 'figures' | 'ended' | 'shares' }
  | { ask: 'stop'; atOnce: boolean };
export type Asked = Question & { id: number };
export type Answer = { id: number } & ({ value: unknown } | { error: string });

/** Compare writes an empty line this often; the agent ends after a silence: a connection may break without a word. */
export const BEAT_MS = 10_000;
export const SILENCE_MAX_MS = 60_000;

const NODE = '{node}';
const PACKAGE = '{package}/';

function mapped({ command, args }: Command, map: (word: string) => string): Command {
  return { command: map(command), args: args.map(map) };
}

/** A command of this machine with its Node and the files of this package named, as their folders differ elsewhere. */
export function portable(command: Command): Command {
  return mapped(command, (word) => (word === process.execPath ? NODE : word.replaceAll(`${ROOT}/`, PACKAGE)));
}

/** The reverse, on another machine. */
export function installedHere(command: Command): Command {
  return mapped(command, (word) => (word === NODE ? process.execPath : word.replaceAll(PACKAGE, `${ROOT}/`)));
}
