/**
 * A real terminal for tests: a shell in tmux, on a socket of its own. It types keys, changes the size, and says what
 * is on the screen. The tmux server is killed after the test.
 */
import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { hasCommand } from './process.ts';
import { until } from './wait.ts';

export const HAS_TMUX = hasCommand('tmux');
/** A program starts in it, on a machine that may be busy. */
const DEADLINE_MS = 30_000;
const PROMPT = 'shell> ';

let started = 0;

/** The row that contains this. */
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

  /** A key by tmux's name of it: q, Down, PageDown, C-c. */
  key(name: string): void {
    this.tmux('send-keys', name);
  }

  resize(columns: number, rows: number): void {
    this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** The screen's rows, without spaces at their ends. */
  get lines(): string[] {
    return this.tmux('capture-pane', '-p').replace(/\n$/, '').split('\n');
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** The screen with escape codes for colours and the like. */
  get styled(): string {
    return this.tmux('capture-pane', '-p', '-e');
  }

  /** Every byte that goes to the terminal from now on is appended to this file as well. */
  record(file: string): void {
    this.tmux('pipe-pane', '-o', `exec cat >>${file}`);
  }

  /** Whether the alternate buffer is shown, and whether the cursor is. */
  get modes(): { alternate: boolean; cursor: boolean } {
    const [alternate, cursor] = this.tmux('display-message', '-p', '#{alternate_on} #{cursor_flag}')
      .trim()
      .split(' ');
    return { alternate: alternate === '1', cursor: cursor === '1' };
  }

  /** Resolves once the screen is as wanted; the text is passed to the condition. */
  async until(condition: (text: string) => boolean, what: string): Promise<void> {
    await until(
      () => condition(this.text),
      () => `${what} on the terminal:\n${this.text}`,
      DEADLINE_MS,
    );
  }

  shows(text: string): Promise<void> {
    return this.until((all) => all.includes(text), JSON.stringify(text));
  }

  /** The shell is back and answers. */
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
    } catch {} // it has ended with its shell
  }
}
