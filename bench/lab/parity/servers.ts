/** How each of the compared servers is started, and built if necessary. */
import { builtPeer, type Command, kechoPool, nodePeer, serverEntry } from '../../programs.ts';
import type { ServerName } from './cells.ts';
import type { ParityOptions } from './parity-options.ts';

export interface Commands {
  commands: Partial<Record<ServerName, Command>>;
  /** Caveats for the report: a peer left out, no build. */
  notes: string[];
}

export function prepareServers({ cpus, serverArgs }: ParityOptions): Commands {
  const notes: string[] = [];
  const commands: Commands['commands'] = {
    cmwq: kechoPool(['--strategy', 'cmwq', '--cpus', String(cpus), ...serverArgs], serverEntry(notes)),
    'node-net': nodePeer('node-net'),
  };
  try {
    commands.c = { command: builtPeer('epoll.c'), args: ['--threads', String(cpus)] };
  } catch (error) {
    notes.push(`no C server, and no comparison with it: ${(error as Error).message}`);
  }
  return { commands, notes };
}
