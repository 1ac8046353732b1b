/**
 * The whole terminal: the alternate screen buffer, drawn line by line, and the keyboard.
 *
 * Main thread only. Between enter() and leave() it owns the terminal's raw mode, cursor and alternate buffer. It
 * restores them whenever the process ends in a way that still runs code: leave(), process.exit(), an uncaught error.
 * A frame is one write of the changed lines, so the screen does not flicker.
 */
import { writeSync } from 'node:fs';
import { emitKeypressEvents, type Key } from 'node:readline';
import { type Line, paint } from './text.ts';

// Alternate buffer, cursor hidden, no wrapping at the right edge: a line too long for a terminal that has just
// shrunk must not push the others down.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';
const ERASE_TO_END = '\x1b[K';
// Synchronized update: terminals that support it show a frame as a whole; the others ignore it.
const BEGIN_FRAME = '\x1b[?2026h';
const END_FRAME = '\x1b[?2026l';

/** Standard output and input of any kind. */
type Output = typeof process.stdout;
type Input = typeof process.stdin;

/** Long enough for SIGTSTP to arrive and, once the process is continued, for SIGCONT. */
const SUSPEND_MS = 100;

export interface Size {
  columns: number;
  rows: number;
}

export interface ScreenEvents {
  /** A key by name (`up`, `pagedown`) or character; Ctrl-C is `quit`. The screen handles Ctrl-Z and Ctrl-L itself. */
  onKey: (key: string) => void;
  /** The size has changed, or everything must be redrawn. */
  onResize: () => void;
}

/** Whether the output is a terminal that can position the cursor. */
export function canDraw(output: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return output.isTTY === true && environment.TERM !== 'dumb';
}

/** Whether to use colours; see no-color.org. */
export function wantsColours(environment: NodeJS.ProcessEnv): boolean {
  return (environment.NO_COLOR ?? '') === '';
}

/** Actions by the letter pressed with Ctrl. */
const CONTROL_KEYS: Record<string, string> = { c: 'quit', z: 'suspend', l: 'redraw' };

function keyName(text: string | undefined, key: Key): string | null {
  if (key.ctrl === true) return CONTROL_KEYS[key.name ?? ''] ?? null;
  if (text !== undefined && /^[\x20-\x7e]$/.test(text)) return text === ' ' ? 'space' : text;
  return key.name ?? null;
}

export class Screen {
  private readonly output: Output;
  private readonly input: Input;
  private readonly coloured: boolean;
  private readonly events: ScreenEvents;
  /** The keyboard is in raw mode: from enter() on, except while suspended. */
  private active = false;
  /** The alternate buffer is shown. */
  private entered = false;
  /** The pending step of regain(). */
  private regaining: NodeJS.Immediate | null = null;
  private notStopped: NodeJS.Timeout | null = null;
  /** Painted lines as they are on the screen; empty when unknown. */
  private shown: string[] = [];
  private readonly onExit = () => this.restore();
  private readonly onResize = () => this.redrawAll();
  private readonly onContinue = () => this.regain();
  private readonly onKeypress = (text: string | undefined, key: Key) => {
    const name = keyName(text, key);
    if (name === 'suspend') this.suspend();
    else if (name === 'redraw') this.redrawAll();
    else if (name !== null) this.events.onKey(name);
  };

  constructor(output: Output, input: Input, coloured: boolean, events: ScreenEvents) {
    this.output = output;
    this.input = input;
    this.coloured = coloured;
    this.events = events;
  }

  get size(): Size {
    return { columns: this.output.columns || 80, rows: this.output.rows || 24 };
  }

  enter(): void {
    process.on('exit', this.onExit); // runs before Node prints an uncaught error, which therefore stays readable
    process.on('SIGCONT', this.onContinue);
    // Not the stream's 'resize': it misses a size that changes back at once, although the terminal has cut off rows.
    process.on('SIGWINCH', this.onResize);
    if (this.input.isTTY) {
      emitKeypressEvents(this.input);
      this.input.on('keypress', this.onKeypress);
    }
    this.takeKeyboard();
    this.takeScreen();
    if (this.input.isTTY) this.input.resume();
  }

  /** Shows these lines from the top, and clears the rest. */
  draw(lines: readonly Line[]): void {
    if (!this.entered) return;
    const { columns, rows } = this.size;
    let frame = this.shown.length === rows ? '' : CLEAR;
    if (frame !== '') this.shown = new Array<string>(rows).fill('');
    for (let row = 0; row < rows; row++) {
      const painted = paint(lines[row] ?? [], columns, this.coloured);
      if (painted === this.shown[row]) continue;
      this.shown[row] = painted;
      frame += `\x1b[${row + 1};1H${painted}${ERASE_TO_END}`;
    }
    if (frame !== '') this.output.write(`${BEGIN_FRAME}${frame}${END_FRAME}`);
  }

  /** Restores the terminal. May be called again. */
  leave(): void {
    this.cancelRegain();
    this.restore();
    process.off('exit', this.onExit);
    process.off('SIGCONT', this.onContinue);
    process.off('SIGWINCH', this.onResize);
    this.input.off('keypress', this.onKeypress);
    this.input.pause();
  }

  private takeKeyboard(): void {
    this.active = true;
    if (this.input.isTTY) this.input.setRawMode(true);
  }

  private takeScreen(): void {
    this.entered = true;
    this.shown = [];
    this.output.write(ENTER);
  }

  private restore(): void {
    if (!this.active) return;
    const { entered } = this;
    this.active = false;
    this.entered = false; // draw() does nothing from now on
    try {
      if (entered) writeSync(this.output.fd, LEAVE);
      if (this.input.isTTY) this.input.setRawMode(false);
    } catch {} // the terminal itself is gone
  }

  /**
   * After a stop: takes the terminal again, once for each return to the foreground. Signals arrive in any order, so
   * each step waits until the event loop has handled the pending ones: one that ends the process cancels it.
   * After `bg`, taking the keyboard stops the process (SIGTTOU) until `fg`, whose SIGCONT starts this again.
   */
  private regain(): void {
    this.cancelRegain();
    this.afterSignals(() => {
      this.takeKeyboard();
      this.afterSignals(() => {
        this.takeScreen();
        this.redrawAll();
      });
    });
  }

  /** Two immediates: the first may run in this turn of the loop, the second runs after the signals of the next. */
  private afterSignals(action: () => void): void {
    this.regaining = setImmediate(() => {
      this.regaining = setImmediate(() => {
        this.regaining = null;
        action();
      });
    });
  }

  private cancelRegain(): void {
    if (this.notStopped !== null) clearTimeout(this.notStopped);
    if (this.regaining !== null) clearImmediate(this.regaining);
    this.notStopped = null;
    this.regaining = null;
  }

  private redrawAll(): void {
    this.shown = [];
    this.events.onResize();
  }

  /** Ctrl-Z: suspends the job until `fg`, as a terminal does outside raw mode. */
  private suspend(): void {
    if (!this.active) return; // typed twice
    this.cancelRegain();
    this.restore();
    process.kill(0, 'SIGTSTP');
    // SIGTSTP does not stop an orphaned process group: then no SIGCONT comes.
    if (this.regaining === null) this.notStopped = setTimeout(() => this.regain(), SUSPEND_MS);
  }
}
