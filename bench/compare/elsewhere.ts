/**
 * What of a comparison is on other machines: the host of the servers (`--on`), and targets that run already. Before the
 * first run it is reached, and told how far away it is, so that the network is not taken for the server.
 */
import { isFar, locate, roundTripMs } from '../load/command/locate.ts';
import { roundTripText } from '../load/command/report.ts';
import { targetText } from '../load/command/values.ts';
import type { CompareOptions, TargetOption } from './compare-options.ts';
import { RemoteHost } from './remote-host.ts';
import type { ServerHostInfo } from './types.ts';

const PART = 'part of each response time';

/** The other host, and what the results say of it. */
export interface Elsewhere {
  host: RemoteHost;
  info: ServerHostInfo;
  notes: string[];
}

export async function reachHost({ on }: CompareOptions): Promise<Elsewhere | null> {
  if (on === undefined) return null;
  const host = await RemoteHost.open(on);
  const { address, environment } = host.about;
  try {
    const info = { name: host.name, address, roundTripMs: host.roundTripMs(), environment };
    const far = `${roundTripText(info.roundTripMs)}, ${PART}`;
    const notes = [
      `the servers ran on ${host.name} (${address}), the load on this machine: ${far}`,
      `CPU, memory and threads of the servers: of their processes on ${host.name}, read through ssh; no timelines`,
    ];
    return { host, info, notes };
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}

async function found(target: TargetOption): Promise<{ target: TargetOption; note: string | null }> {
  if (!('at' in target)) return { target, note: null };
  const at = await locate(target.at);
  const ms = isFar(at.address) ? roundTripMs(at) : null;
  const far = ms === null ? '' : `; ${roundTripText(ms)}, ${PART}`;
  const note = `${target.name} ran already, on ${targetText(at)}: its CPU, memory and threads are unknown${far}`;
  return { target: { ...target, at }, note };
}

/** Names of running targets replaced by addresses, and a note on each. */
export async function locateTargets(
  targets: readonly TargetOption[],
): Promise<{ targets: TargetOption[]; notes: string[] }> {
  const all = await Promise.all(targets.map(found));
  return {
    targets: all.map(({ target }) => target),
    notes: all.flatMap(({ note }) => note ?? []),
  };
}
