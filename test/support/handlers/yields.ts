/** As undeclared.ts, on threads that wait long for a processor where other processes want it. */
import { setPriority } from 'node:os';

export { default } from './undeclared.ts';

export function setUp(): void {
  setPriority(10); // of the calling thread only: setpriority(2)
}
