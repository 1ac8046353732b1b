/**
 * A real terminal for tests: a shell in tmux, on its own socket. It types keys, changes the size and reads the screen.
 * The tmux server is killed after the test.
 */
import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { hasCommand } from './process.ts';
import { until } from './wait.ts';

export const HAS_TMUX = hasCommand('tmux');
const PROMPT = 'shell> ';

let started = 0;

/** The first row that contains `part`. */
export function lineWith(lines: readonly string[], part: string): string {
  const found = lines.find((line) => line.includes(part));
  if (found === undefined) throw new Error(`no line with ${part} in:\n${lines.join('\n')}`);
  return found;
}

export class Terminal {
  private readonly name = `kecho-pool-test-${process.pid}-${++started}`;

  constructor(columns: number, rows: number) {
    const size = ['-x', String(columns), '-y', String(rows)];
    onTestFinished(() => this.kill());
    this.tmux('-f', '/dev/null', 'new-session', '-d', ...size, 'sh');
    this.type(`PS1='${PROMPT}'; clear`);
  }

  /** Types a command line and Enter. */
  type(text: string): void {
    this.tmux('send-keys', '-l', text);
    this.key('Enter');
  }

  /** Types a key by its tmux name: q, Down, PageDown, C-c. */
  key(name: string): void {
    this.tmux('send-keys', name);
  }

  resize(columns: number, rows: number): void {
    this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** The screen's rows, without trailing spaces. */
  get lines(): string[] {
    return this.tmux('capture-pane', '-p').replace(/\n$/, '').split('\n');
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** The screen with escape sequences for colours and other attributes. */
  get styled(): string {
    return this.tmux('capture-pane', '-p', '-e');
  }

  /** Appends every byte written to the terminal from now on to this file as well. */
  record(file: string): void {
    this.tmux('pipe-pane', '-o', `exec cat >>${file}`);
  }

  /** Whether the alternate buffer and the cursor are shown. */
  get modes(): { alternate: boolean; cursor: boolean } {
    const [alternate, cursor] = this.tmux('display-message', '-p', '#{alternate_on} #{cursor_flag}')
      .trim()
      .split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1' };
  }

  /** Resolves once the screen's text meets the condition. */
  async until(condition: (text: string) => boolean, what: string): Promise<void> {
    await until(
      () => condition(this.text),
      () => `${what} on the terminal:\n${this.text}`,
    );
  }

  shows(text: string): Promise<void> {
    return this.until((all) => all.includes(text), JSON.stringify(text));
  }

  /** Resolves once the shell shows its prompt. */
  async prompt(): Promise<void> {
    await this.until((text) => text.trimEnd().endsWith(PROMPT.trim()), 'the prompt');
  }

  private tmux(...args: readonly string[]): string {
    return execFileSync('tmux', ['-L', this.name, ...args], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C.UTF-8', TERM: 'xterm-256color' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  private kill(): void {
    try {
      this.tmux('kill-server');
    } catch {} // it has exited with its shell
  }
}
