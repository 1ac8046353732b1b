/**
 * Records the demo for `--record`: what its dashboard shows, and one hand-off, into a page that opens without a server.
 *
 * Main thread only. Owns the open file and a timer until close(). Memory is bounded by MAX_FRAMES.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { readStaticFiles } from '../admin/files.ts';
import type { HandOff } from '../admin/hand-off.ts';
import { type Frame, recordedPage } from '../admin/recorded-page.ts';
import { monotonicMs } from '../sys/clock.ts';
import type { Stage } from './stage.ts';

const FRAME_INTERVAL_MS = 250;
/** Ten minutes. */
const MAX_FRAMES = 2400;
/** As many as the dashboard shows. */
const EVENTS = 50;
/** Of a whole hand-off. */
const STEPS = 6;
/** Frames between two attempts to record one. */
const HAND_OFF_EVERY = 20;

/** The file cannot be written. */
export class CannotRecord extends Error {
  override readonly name = 'CannotRecord';
}

export class Recorder {
  private readonly file: string;
  private readonly fd: number;
  private readonly stage: Stage;
  private readonly frames: Frame[] = [];
  private handOff: HandOff | null = null;
  private readonly startMs = monotonicMs();
  private readonly timer: NodeJS.Timeout;

  /** Creates the file, or empties it. Throws CannotRecord. */
  constructor(file: string, stage: Stage) {
    this.file = file;
    this.stage = stage;
    this.fd = this.unlessFailed(() => openSync(file, 'w'));
    this.timer = setInterval(() => this.take(), FRAME_INTERVAL_MS).unref();
  }

  /** Writes the page. Returns a line about it. Throws CannotRecord. */
  close(): string {
    clearInterval(this.timer);
    const { frames, handOff, file, fd } = this;
    const page = Buffer.from(recordedPage(readStaticFiles(), { frames, handOff }));
    this.unlessFailed(() => {
      for (let at = 0; at < page.length; ) at += writeSync(fd, page, at);
      closeSync(fd);
    });
    const seconds = Math.round((frames.at(-1)?.atMs ?? 0) / 1000);
    return `recorded ${seconds} s in ${file}, ${Math.ceil(page.length / 1024)} KiB`;
  }

  private unlessFailed<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new CannotRecord(`cannot write --record ${this.file}: ${code ?? message}`);
    }
  }

  private take(): void {
    const { frames, stage } = this;
    if (frames.length === MAX_FRAMES) return;
    const status = stage.status();
    frames.push({
      atMs: Math.round(monotonicMs() - this.startMs),
      status: { ...status, events: status.events.slice(-EVENTS) },
    });
    const isWhole = this.handOff?.steps.length === STEPS;
    if (!isWhole && frames.length % HAND_OFF_EVERY === 0 && stage.strategy === 'cmwq')
      void this.takeHandOff();
  }

  /** From the dashboard's endpoint, whose thread records it; not on a Unix socket, which fetch() cannot use. */
  private async takeHandOff(): Promise<void> {
    const { url } = this.stage;
    if (!url.startsWith('http:')) return;
    try {
      const response = await fetch(new URL('hand-off.json', url));
      this.handOff = ((await response.json()) as HandOff | null) ?? this.handOff;
    } catch {
      // the next attempt may succeed
    }
  }
}
