/** What the keys do and what the figures mean, for the terminal. */
import { type Line, line, span } from '../terminal/text.ts';

const TEXT = `Keys
  q, Ctrl-C        quit
  s  r             sort by the next column; reverse
  arrows, PgUp/Dn  scroll the workers; Home, End
  p                pause, and go on
  ?  h             this text, and back
  Ctrl-L  Ctrl-Z   draw everything anew; back to the shell until fg

Figures
  total     work items begun: a readiness of a connection (cmwq), or a connection
  infl      begun and not finished
  CPUitsv   items that lost the run slot: awake for too long (cpu_intensive)
  CMW/RPR   an item slept, so another worker was woken (cm_wakeup)
  mayday    times the rescuer was called, when no worker could be made
  rescued   items that the rescuer began
  slot      who holds the CPU pool's run slot: only that worker takes items
  dispatch  from the accept until a worker begins with the connection
  echo      from a request received until sent back, handlers included
  p50 <=    upper bound of the bucket that this share of the samples is in`;

export function helpLines(): Line[] {
  return TEXT.split('\n').map((text) => line(span(text, text.startsWith(' ') ? 'plain' : 'bold')));
}
