/**
 * What watches a server through its admin endpoint, as processes: a browser with the dashboard (where Chromium is
 * installed), `top`, and clients that ask /metrics in a loop.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BLOCK_DEBUG_SIGNAL } from '../../src/sys/signals.ts';
import { ChildProcess } from '../child-process.ts';
import { serverEntry } from '../programs.ts';

const CHROMIUM = '/usr/bin/chromium';
export const HAS_BROWSER = existsSync(CHROMIUM);
const POLLERS = fileURLToPath(new URL('./watchers/pollers.ts', import.meta.url));

/** `count` clients in one process, which pause for `pauseMs` after each response. The caller owns it. */
export function pollers(adminPort: number, count: number, pauseMs = 0): ChildProcess {
  const args = [adminPort, count, pauseMs].map(String);
  return new ChildProcess('pollers', process.execPath, [POLLERS, ...args]);
}

/** At the lowest priority, so that their own use of the machine is not measured. */
function nice(what: string, ...command: string[]): ChildProcess {
  return new ChildProcess(what, 'nice', ['-n', '19', ...command], () => {}); // drops its output
}

/** `top` and a browser, which it owns, on the server with this admin port. */
export class Watchers {
  private readonly profile = mkdtempSync(join(tmpdir(), 'watchers-'));
  private readonly attached: ChildProcess[];

  constructor(adminPort: number) {
    const top = [serverEntry(), 'top', '--json', `127.0.0.1:${adminPort}`];
    this.attached = [nice('top', process.execPath, BLOCK_DEBUG_SIGNAL, ...top)];
    if (HAS_BROWSER) this.attached.push(this.browser(`http://127.0.0.1:${adminPort}/`));
  }

  private browser(url: string): ChildProcess {
    const flags = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--remote-debugging-port=0',
      `--user-data-dir=${this.profile}`,
    ];
    return nice('browser', CHROMIUM, ...flags, url);
  }

  /** Throws when one of them, or of `others`, has ended. */
  check(...others: ChildProcess[]): void {
    for (const { what, ended, stderrSummary } of [...this.attached, ...others])
      if (ended !== null) throw new Error(`${what}: ${ended}${stderrSummary}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.attached) await child.stop();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
