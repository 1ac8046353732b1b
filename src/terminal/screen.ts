/**
 * The whole terminal: an alternate screen buffer that is drawn line by line, and the keyboard.
 *
 * Main thread only. Between enter() and leave() it owns the terminal's raw mode, its cursor and its other buffer, and
 * gives all of them back in every way the process may end that runs any code at all: leave(), process.exit(), an
 * error nobody caught. A frame is one write of the lines that have changed, so nothing flickers.
 */
import { writeSync } from 'node:fs';
import { emitKeypressEvents, type Key } from 'node:readline';
import { type Line, paint } from './text.ts';

// Alternate buffer, cursor hidden, no wrapping at the right edge: a line too long for a terminal that has just
// become narrower must not push the others down.
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';
const ERASE_TO_END = '\x1b[K';
// Terminals that know it show a frame as a whole; the others ignore it.
const BEGIN_FRAME = '\x1b[?2026h';
const END_FRAME = '\x1b[?2026l';

/** Standard output and input, whatever they are. */
type Output = typeof process.stdout;
type Input = typeof process.stdin;

/** Long enough for the signal that stops it, and, once it is continued, for the one that says so. */
const SUSPEND_MS = 100;

export interface Size {
  columns: number;
  rows: number;
}

export interface ScreenEvents {
  /** A key by name (`up`, `pagedown`) or character; Ctrl-C is `quit`. Ctrl-Z and Ctrl-L are the screen's own. */
  onKey: (key: string) => void;
  /** The size is another, or everything must be drawn again. */
  onResize: () => void;
}

/** Whether there is a terminal that knows how to place the cursor. */
export function canDraw(output: { isTTY?: boolean }, environment: NodeJS.ProcessEnv): boolean {
  return output.isTTY === true && environment.TERM !== 'dumb';
}

/** Whether to use colours there; no-color.org. */
export function wantsColours(environment: NodeJS.ProcessEnv): boolean {
  return (environment.NO_COLOR ?? '') === '';
}

/** Ctrl and this letter. */
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
  /** The keyboard is ours: from enter() on, except while Ctrl-Z has given it back. */
  private active = false;
  /** The other buffer is shown. */
  private entered = false;
  /** The terminal is about to be taken again. */
  private regaining: NodeJS.Immediate | null = null;
  private notStopped: NodeJS.Timeout | null = null;
  /** Painted lines as they are on the screen; empty when that is not known. */
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
    process.on('exit', this.onExit); // comes before an error that nobody caught is printed, so it can be read
    process.on('SIGCONT', this.onContinue);
    // Not the stream's 'resize': it keeps silent when a size is back before it has looked, but the terminal has cut rows.
    process.on('SIGWINCH', this.onResize);
    if (this.input.isTTY) {
      emitKeypressEvents(this.input);
      this.input.on('keypress', this.onKeypress);
    }
    this.takeKeyboard();
    this.takeScreen();
    if (this.input.isTTY) this.input.resume();
  }

  /** Shows these lines from the top, and nothing below them. */
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

  /** Gives the terminal back as it was. May be called again. */
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
    this.entered = false; // nothing is drawn from here on
    try {
      if (entered) writeSync(this.output.fd, LEAVE);
      if (this.input.isTTY) this.input.setRawMode(false);
    } catch {} // the terminal itself is gone
  }

  /**
   * After a stop: takes the terminal again, once for each return to the foreground. Signals come in any order, so each
   * step waits until the event loop has seen those that are there: first the one that ends the process, which takes
   * nothing then. After `bg` taking the keyboard stops the process (SIGTTOU) until `fg`, whose SIGCONT begins anew here.
   */
  private regain(): void {
    this.cancelRegain();
    this.behindSignals(() => {
      this.takeKeyboard();
      this.behindSignals(() => {
        this.takeScreen();
        this.redrawAll();
      });
    });
  }

  /** Two immediates: the first one may run in this turn of the loop, the second one is behind the signals of the next. */
  private behindSignals(action: () => void): void {
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

  /** Ctrl-Z: back to the shell until it says `fg`. What a terminal does when it is not raw. */
  private suspend(): void {
    if (!this.active) return; // typed twice
    this.cancelRegain();
    this.restore();
    process.kill(0, 'SIGTSTP');
    // When nobody can continue it, nothing has stopped it, and no SIGCONT comes.
    if (this.regaining === null) this.notStopped = setTimeout(() => this.regain(), SUSPEND_MS);
  }
}
