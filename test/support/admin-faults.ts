/**
 * Orders faults of the admin endpoint's thread, for an endpoint with the entry FAULTY_ADMIN_THREAD.
 */
import { BroadcastChannel } from 'node:worker_threads';

export const FAULTY_ADMIN_THREAD = new URL('./faulty/admin-thread.ts', import.meta.url);
export const CHANNEL = 'admin-faults';

export type AdminFault = 'throw' | 'exit' | 'outOfMemory' | 'hang';

export function orderAdminFault(fault: AdminFault): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(fault);
  channel.close();
}
