/**
 * The servers under test on another host, with `compare --on ssh:HOST`: one ssh(1) for the whole comparison runs the agent
 * there (host-agent.ts).
 *
 * Main thread; only waits. The end of this process ends ssh's standard input, hence the agent and its server. ssh never
 * asks: an unknown or changed host key, and a host that wants a password, are refused. The rest of the connection is up to
 * ~/.ssh/config and the options before the host.
 */
import { problemOf } from '../../src/schema/json.ts';
import { ChildProcess } from '../child-process.ts';
import { roundTripMs } from '../load/command/locate.ts';
import { type TargetAddress, targetText } from '../load/command/values.ts';
import { type Command, programName } from '../programs.ts';
import { parsed } from '../server-under-test.ts';
import type { OnOption } from './compare-options.ts';
import type { Shares } from './disturbance.ts';
import { type Answer, BEAT_MS, Hello, portable, type Question } from './host-protocol.ts';
import type { HostedServer, ServerFigures, ServerHost } from './server-host.ts';

/** They stand first, and the first value counts: no file and no option of --on loosens them. */
const SSH_OPTIONS = ['-T', '-a', '-x', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes'];
/** For connecting, a slow login shell, and Node. */
const HELLO_TIMEOUT_MS = 60_000;
/** Longer than the agent waits for a server to listen, or to end. */
const ANSWER_TIMEOUT_MS = 90_000;
const END_TIMEOUT_MS = 5_000;

class RemoteServer implements HostedServer {
  readonly at: TargetAddress;
  readonly local = null;
  private readonly host: RemoteHost;

  constructor(host: RemoteHost, at: TargetAddress) {
    this.host = host;
    this.at = at;
  }

  figures(): Promise<ServerFigures> {
    return this.host.ask({ ask: 'figures' });
  }

  ended(): Promise<string | null> {
    return this.host.ask({ ask: 'ended' });
  }

  stop(atOnce: boolean): Promise<void> {
    return this.host.ask({ ask: 'stop', atOnce });
  }
}

export class RemoteHost implements ServerHost {
  /** As the operator named it. */
  readonly name: string;
  private hello: Hello | null = null;
  private readonly greeting = Promise.withResolvers<void>();
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly ssh: ChildProcess;
  private questions = 0;
  private readonly beat = setInterval(() => this.ssh.write('\n'), BEAT_MS).unref();

  private constructor({ name, words, command }: OnOption) {
    this.name = name;
    const args = [...SSH_OPTIONS, ...words, `${command} compare-host`];
    this.ssh = new ChildProcess(`ssh ${name}`, 'ssh', args, (line) => this.onLine(line));
  }

  /** Connects, and starts the agent. Rejects with one line. */
  static async open(on: OnOption): Promise<RemoteHost> {
    const host = new RemoteHost(on);
    try {
      await host.ssh.unlessItEnds(host.greeting.promise, `running ${on.command}`, HELLO_TIMEOUT_MS);
      const here = programName();
      const { program } = host.about;
      if (program !== here) throw new Error(`${on.name} has ${program}, and this is ${here}`);
      return host;
    } catch (error) {
      clearInterval(host.beat);
      await host.ssh.stop(true);
      throw error;
    }
  }

  /** What the agent says of its host. */
  get about(): Hello {
    if (this.hello === null) throw new Error(`ssh ${this.name}: no greeting`);
    return this.hello;
  }

  get address(): string {
    return this.about.address;
  }

  /** Throws when no connection succeeds. */
  roundTripMs(): number {
    const found = roundTripMs(this.about);
    if (found !== null) return found;
    throw new Error(
      `cannot connect to ${targetText(this.about)} on ${this.name}: servers there listen on ports that its kernel chooses`,
    );
  }

  /** Lines that are not JSON come from login scripts. */
  private onLine(line: string): void {
    const found = parsed(line) as unknown as Answer | Hello | null;
    if (found === null) return;
    if ('id' in found) this.waiting.get(found.id)?.(found);
    else this.greet(found);
  }

  private greet(found: Hello): void {
    const problem = problemOf(Hello, found);
    this.hello = found;
    if (problem === null) this.greeting.resolve();
    else this.greeting.reject(new Error(`ssh ${this.name}: an unknown greeting (${problem})`));
  }

  async ask<T>(question: Question): Promise<T> {
    const id = this.questions++;
    const answered = Promise.withResolvers<Answer>();
    this.waiting.set(id, answered.resolve);
    this.ssh.write(`${JSON.stringify({ ...question, id })}\n`);
    try {
      const answer = await this.ssh.unlessItEnds(answered.promise, 'answering', ANSWER_TIMEOUT_MS);
      if ('error' in answer) throw new Error(answer.error);
      return answer.value as T; // of the same version, which open() has checked
    } finally {
      this.waiting.delete(id);
    }
  }

  async start(label: string, command: Command): Promise<RemoteServer> {
    return new RemoteServer(this, await this.ask({ ask: 'start', label, command: portable(command) }));
  }

  shares(): Promise<Shares> {
    return this.ask({ ask: 'shares' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.beat);
    this.ssh.endInput();
    await this.ssh.finished(END_TIMEOUT_MS);
  }
}
