/**
 * Where a server under test runs: on this machine (LocalHost), on another one (remote-host.ts), or wherever the operator
 * started it (RunningServer).
 *
 * Main thread. A host runs one server at a time. What is unknown of a server is null, never zero.
 */
import { LOOPBACK } from '../../src/sys/loopback.ts';
import type { Placement } from '../child-process.ts';
import type { TargetAddress } from '../load/command/values.ts';
import { ProcessCost } from '../load/process-cost.ts';
import { processTree, treeResidentKib, treeThreads } from '../process-figures.ts';
import type { Command } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import type { Shares } from './disturbance.ts';

export interface ServerFigures {
  /** When they were read, by the clock of the server's machine. */
  atMs: number;
  /** CPU time of its processes, and of the children that they waited for. */
  cpuMs: number | null;
  residentKib: number | null;
  /** At that moment; from another machine the most since its start. */
  threads: number | null;
}

export interface HostedServer {
  readonly at: TargetAddress;
  /** A server on this machine, which the load generator and the sampler watch themselves. */
  readonly local: ServerUnderTest | null;
  figures(): Promise<ServerFigures>;
  /** How it ended, if it has. */
  ended(): Promise<string | null>;
  /** With `atOnce` by SIGKILL. */
  stop(atOnce: boolean): Promise<void>;
}

export interface ServerHost {
  /** On which its servers listen. */
  readonly address: string;
  start(label: string, command: Command): Promise<HostedServer>;
  /** What others used of its processors since the last call; null: it is this machine. */
  shares(): Promise<Shares | null>;
}

export class LocalServer implements HostedServer {
  readonly at: TargetAddress;
  readonly local: ServerUnderTest;
  private readonly cost: ProcessCost;

  constructor(server: ServerUnderTest, address: string) {
    this.local = server;
    this.at = { address, port: server.port };
    this.cost = new ProcessCost([server.process.pid], '');
  }

  async figures(): Promise<ServerFigures> {
    const pids = processTree(this.local.process.pid);
    const cpuMs = this.cost.nowMs();
    const isGone = Number.isNaN(cpuMs);
    return {
      atMs: performance.now(),
      cpuMs: isGone ? null : cpuMs,
      residentKib: isGone ? null : treeResidentKib(pids),
      threads: isGone ? null : treeThreads(pids),
    };
  }

  async ended(): Promise<string | null> {
    const { ended, stderrSummary } = this.local.process;
    return ended === null ? null : `${ended}${stderrSummary}`;
  }

  stop(atOnce: boolean): Promise<void> {
    return this.local.process.stop(atOnce);
  }
}

export class LocalHost implements ServerHost {
  readonly address: string;
  private readonly placement: Placement;

  /** `address` is one of this machine. */
  constructor(placement: Placement = {}, address = LOOPBACK) {
    this.placement = placement;
    this.address = address;
  }

  async start(label: string, command: Command): Promise<LocalServer> {
    const { placement, address } = this;
    return new LocalServer(await ServerUnderTest.start(label, command, placement, address), address);
  }

  async shares(): Promise<null> {
    return null;
  }
}

/** A server that compare neither starts nor stops, and of whose processes it knows nothing. */
export class RunningServer implements HostedServer {
  readonly at: TargetAddress;
  readonly local = null;

  constructor(at: TargetAddress) {
    this.at = at;
  }

  async figures(): Promise<ServerFigures> {
    return { atMs: performance.now(), cpuMs: null, residentKib: null, threads: null };
  }

  async ended(): Promise<null> {
    return null;
  }

  async stop(): Promise<void> {}
}
