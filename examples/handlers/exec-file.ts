/** Another program: starts it and waits for its end, declared as a sleep. */
import { execFileSync } from 'node:child_process';
import { blocking } from 'kecho-pool/handler';

/** Declares no parameter, so the request is not copied for it. */
export default function handle(): void {
  blocking(() => execFileSync('true'));
}
