/**
 * The servers in a comparison and their commands: the strategies, the A/A control, the peers in bench/peers, and
 * targets from the command line.
 *
 * Servers are started by command line only; nothing is imported from them. One that cannot be built or found is left
 * out with a note.
 */
import { availableParallelism } from 'node:os';
import type { StrategyName } from '../../src/options/types.ts';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { targetText } from '../load/command/values.ts';
import { builtPeer, type Command, kechoPool, nodePeer, serverEntry } from '../programs.ts';
import type { CompareOptions, TargetOption } from './compare-options.ts';
import type { Entrant } from './plan.ts';
import { BEFORE_SUFFIX } from './types.ts';

/** The command of a server that runs already only names it. */
export interface Contestant extends Entrant, Command {}

export interface Contestants {
  list: Contestant[];
  /** Label of the contestant that the others are compared with. */
  reference: string;
  notes: string[];
}

/** A server of kecho-pool with these arguments. */
function kechoContestant(
  entry: string,
  own: Pick<Contestant, 'label' | 'kind'> & { strategy: StrategyName },
  args: readonly string[],
): Contestant {
  const workers = [...args.join(' ').matchAll(/--workers[= ](\d+)/g)].at(-1)?.[1];
  return {
    ...own,
    ...(workers === undefined ? {} : { workers: Number(workers) }),
    ...kechoPool(args, entry),
  };
}

function handlerArgs({ handler, handlerHeapBytes }: CompareOptions): string[] {
  if (handler === undefined) return [];
  const heap = handlerHeapBytes === undefined ? [] : ['--handler-heap', String(handlerHeapBytes)];
  return ['--handler', handler, ...heap];
}

export const CONTROL_SUFFIX = ' (again)';

/** Names of the servers in bench/peers. */
export const PEER_LABELS = [
  'C epoll',
  'C threads',
  'node:net',
  'node:cluster',
  'Piscina transfer',
  'Go',
] as const;
type PeerLabel = (typeof PEER_LABELS)[number];

function peer(label: PeerLabel, command: Command): Contestant {
  return { label, kind: 'peer', strategy: null, ...command };
}

/** A peer that must be built; empty, with a note, when that fails. */
function compiledPeer(
  label: PeerLabel,
  file: Parameters<typeof builtPeer>[0],
  args: string[],
  notes: string[],
): Contestant[] {
  try {
    return [peer(label, { command: builtPeer(file), args })];
  } catch (error) {
    notes.push(`${label} left out: ${(error as Error).message}`);
    return [];
  }
}

/** Sockets can be transferred to a worker from Node 24.20 on. */
function canTransferSockets(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 20);
}

function peerContestants(notes: string[]): Contestant[] {
  const threads = String(availableParallelism());
  const transfer = canTransferSockets() ? [peer('Piscina transfer', nodePeer('piscina-transfer'))] : [];
  if (transfer.length === 0) notes.push('Piscina with transferred sockets left out: it needs Node 24.20');
  return [
    ...compiledPeer('C epoll', 'epoll.c', ['--threads', threads], notes),
    ...compiledPeer('C threads', 'threads.c', [], notes),
    peer('node:net', nodePeer('node-net')),
    peer('node:cluster', nodePeer('node-cluster')),
    ...transfer,
    ...compiledPeer('Go', 'echo.go', [], notes),
  ];
}

function shellScript(command: string): string {
  // With exec a simple command replaces the shell, so the pid is the server's. It cannot stand before a list, an
  // assignment or another exec.
  return /[;&|\n]|^(?:exec\s|\w+=)/.test(command) ? command : `exec ${command}`;
}

function targetContestant(target: TargetOption): Contestant {
  const own = { label: target.name, kind: 'target', strategy: null } as const;
  if ('at' in target) return { ...own, command: targetText(target.at), args: [], at: target.at };
  return { ...own, command: '/bin/sh', args: ['-c', shellScript(target.command)] };
}

/** An old build in place of this one, with the same arguments. */
function oldBuild(command: string, contestant: Contestant): Contestant {
  const [, ...args] = contestant.args; // without the entry
  return {
    ...contestant,
    label: `${contestant.label}${BEFORE_SUFFIX}`,
    kind: 'before',
    command: '/bin/sh',
    args: ['-c', `${shellScript(command)} "$@"`, 'sh', ...args],
  };
}

/** Builds peers where needed and lists the contestants, which listen on `address`, in display order. */
export function gatherContestants(options: CompareOptions, address: string): Contestants {
  const notes: string[] = [];
  const entry = serverEntry(notes);
  const listening = address === LOOPBACK ? [] : ['--host', address];
  const common = [...listening, ...options.serverArgs, ...handlerArgs(options)];
  const strategies = options.strategies.map((name) =>
    kechoContestant(entry, { label: name, kind: 'strategy', strategy: name }, [
      '--strategy',
      name,
      ...common,
    ]),
  );
  const variants = options.variants.map(({ name, strategy, args }) =>
    kechoContestant(entry, { label: name, kind: 'variant', strategy }, [...common, ...args]),
  );
  // The reference: cmwq, or else the last strategy named.
  const first = strategies.find(({ label }) => label === 'cmwq') ?? strategies.at(-1);
  if (first === undefined) throw new Error('no strategy to compare');
  const control: Contestant[] = options.control
    ? [{ ...first, label: `${first.label}${CONTROL_SUFFIX}`, kind: 'control' }]
    : [];
  const { baselineCommand } = options;
  const builds = baselineCommand === undefined ? [] : strategies.map((own) => oldBuild(baselineCommand, own));
  const peers = options.peers ? peerContestants(notes) : [];
  const targets = options.targets.map(targetContestant);
  return {
    list: [...strategies, ...variants, ...control, ...builds, ...peers, ...targets],
    reference: first.label,
    notes,
  };
}
