/** The help page: keys, and the meaning of the figures. With the bottom bar it fits 80 x 24. */
import { type Line, line, span } from '../terminal/text.ts';

const TEXT = `Keys
  q, Ctrl-C  quit              s  r             sort by the next column; reverse
  p          pause and resume  arrows, PgUp/Dn  scroll the workers; Home, End
  ?  h       this help         Ctrl-L  Ctrl-Z   redraw; suspend until fg

Figures
  total     items started: connections; cmwq: each readiness of one, closes too
  infl      in flight: started and not completed
  CPUtime   CPU seconds that workers used for CPU pools (cmwq); of each thread
  CPUitsv   items that lost the run slot: computed too long (cpu_intensive)
  CMW/RPR   workers woken because an item slept; hand-offs: this + CPUitsv
  noticed   sleeps in items that the monitor found without a declaration
  mayday    calls to the rescuer, when no worker could be created
  rescued   items started by the rescuer
  slot      worker that holds the CPU pool's run slot (*): only it takes items
  on duty   in an item of a connection (conn), or waiting for one with the slot
  waiting   connections that are ready, in no item, and the longest wait of one
  in/out    connections moved to the CPU pool and away from it
  sleeps in system call that the worker's item sleeps in, and for how long:
            since its declaration, or at least since an earlier look
  dispatch  from accept() until a worker starts on the connection
  echo      from receiving a request until it is sent back, handlers included
  p50 <=    upper bound of the bucket that contains this percentile`;

export function helpLines(): Line[] {
  return TEXT.split('\n').map((text) => line(span(text, text.startsWith(' ') ? 'plain' : 'bold')));
}
