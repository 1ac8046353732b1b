/** workers/kworker.ts with faults. */
import './ffi.ts';
import { failAtStart } from './commit.ts';

export { kworker, rescuer } from '../../../workers/kworker.ts';

failAtStart();
